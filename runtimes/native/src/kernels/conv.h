// Convolutions, and matrix products, which are convolutions of one place.
//
// A tile is some windows times one or two panels of 16 outputs. The map under the windows of a block
// of places is staged first, where it cannot be multiplied as it lies; the block stays in the nearest
// cache while all panels pass by.

// Blocks are whole tiles, where they can be: of six places, or of eight under windows, as stems have them.
constexpr uint32_t kPlacesStep = 6, kWindowsStep = 8;
static_assert(kBlockRows % kPlacesStep == 0 && kBlockRows % kWindowsStep == 0, "the largest block is no exception");

constexpr int kPanelsAtOnce = kPartsAtOnce > kParts ? kPartsAtOnce / kParts : 1;

// Sums of R windows times some panels, `inputs` weights each: int32 [panels][kBlockRows][16], the
// first R of each. Not inlined: the loop needs every register.
template <int R, int kPanels>
[[gnu::noinline]] void multiply(const Windows<Staged>& windows, const Staged* rows, size_t inputs,
                                const int8_t* weights, int32_t* sums) {
  constexpr int parts = kPanels * kParts, at_once = parts < kPartsAtOnce ? parts : kPartsAtOnce;
  const size_t step = windows.step, stretch = windows.stretch;
  for (int first = 0; first < parts; first += at_once) {
    Sum sum[R][at_once] = {};
    const int8_t* weight_row = weights + first / kParts * inputs * kPanel;
    const Staged* row = rows;
    for (size_t i = 0; i < windows.rows; ++i, row += windows.row_step, weight_row += stretch * kPanel) {
#pragma GCC unroll 4
      for (size_t c = 0; c < stretch; c += 4) {
        Weight weight[at_once];
        for (int i = 0; i < at_once; ++i)
          weight[i] = load_weights(weight_row + (i / kParts * inputs + c) * kPanel, (first + i) % kParts);
        for (int r = 0; r < R; ++r) {
          const Input input = broadcast(row + r * step + c);
          for (int i = 0; i < at_once; ++i) sum[r][i] = dot(sum[r][i], input, weight[i]);
        }
      }
    }
    constexpr int together = at_once < kParts ? at_once : kParts;  // of one panel
    for (int i = 0; i < at_once; i += together)
      for (int r = 0; r < R; ++r) {
        const size_t panel = (first + i) / kParts, part = (first + i) % kParts;
        store_sums(sum[r] + i, together, sums + (panel * kBlockRows + r) * kPanel + part * (kPanel / kParts));
      }
  }
}

#if EDGEVIT_BYTE_TILES
#include "byte_tile.h"
#else
// Other instruction sets have no way of their own to make bytes.
struct ByteProduct {
  ByteProduct(const Finish&, size_t) {}
  uint32_t put(const Windows<Staged>&, uint32_t, const int8_t*, const Share&, const Target&, size_t) const { return 0; }
};
#endif

constexpr int kFloatRows = 4;

// The same of floats: float [R][16].
template <int R, int kPanels>
[[gnu::noinline]] void multiply(const Windows<float>& windows, const float* rows, size_t,
                                const float* weights, float* sums) {
  static_assert(kPanels == 1, "floats are multiplied with one panel at a time");
  constexpr int kVectors = kPanel / kLanes;
  F sum[R][kVectors] = {};
  for (size_t i = 0; i < windows.rows; ++i, rows += windows.row_step)
    for (size_t c = 0; c < windows.stretch; ++c, weights += kPanel)
      for (int v = 0; v < kVectors; ++v) {
        const F weight = load<F>(weights + v * kLanes);
        for (int r = 0; r < R; ++r) sum[r][v] += weight * rows[r * windows.step + c];
      }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * kPanel + v * kLanes, sum[r][v]);
}

// One operation: floats, or bytes. Tiles have up to kMostRows rows.
template <typename T, typename StagedT, typename W, typename SumT, int kMostRows, int kMostPanels>
struct Product {
  using Multiply = void (*)(const Windows<StagedT>&, const StagedT*, size_t, const W*, SumT*);

  const Conv& op;
  const size_t inputs;
  const WindowMaker<T, StagedT> windows;
  const Finish finish;
  const FinishRows<SumT> finish_panel;
  const W* weights;
  const ByteProduct bytes;

  Product(const Call& call, T pad, uint32_t part)
      : op(call.operation->conv),
        inputs(size_t{op.kernel_h} * op.kernel_w * op.channels),
        windows(op, call.read<T>(op.src), pad, reinterpret_cast<StagedT*>(call.staging_of(part))),
        finish(call),
        finish_panel(finish_of<SumT>(finish.activation)),
        weights(call.read<W>(op.weights)),
        bytes(finish, inputs) {}

  template <int kPanels, int... R>
  static Multiply multiply_of(uint32_t rows, std::integer_sequence<int, R...>) {
    static constexpr Multiply all[] = {multiply<R + 1, kPanels>...};
    return all[rows - 1];
  }

  // Windows times some panels. Tiles are as even as they can be: one of a row or two would wait for
  // its own sums.
  template <int kPanels>
  void panels(const Windows<StagedT>& block, uint32_t count, size_t place, uint32_t panel) const {
    alignas(64) SumT sums[kPanels * kBlockRows * kPanel];
    const uint32_t tiles = (count + kMostRows - 1) / kMostRows;
    for (uint32_t tile = 0; tile < tiles; ++tile) {
      const Share share(count, tile, tiles);
      const Multiply multiply = multiply_of<kPanels>(share.end - share.begin,
                                                     std::make_integer_sequence<int, kMostRows>());
      multiply(block, block.first + share.begin * block.step, inputs, weights + panel * inputs * kPanel,
               sums + share.begin * kPanel);
    }
    for (int i = 0; i < kPanels; ++i)
      finish_panel(finish, sums + i * kBlockRows * kPanel, count, place, panel + i);
  }

  // Places [x, end) of row y of the windows, in blocks.
  void row(uint32_t y, uint32_t x, uint32_t end, const Share& columns) const {
    const uint32_t blocks = (end - x + kBlockRows - 1) / kBlockRows;
    const uint32_t even = (end - x + blocks - 1) / blocks, step = windows.is_pointwise() ? kPlacesStep : kWindowsStep;
    const uint32_t of_block = (even + step - 1) / step * step;
    for (uint32_t first = x; first < end; first += of_block) {
      const uint32_t count = std::min(of_block, end - first);
      const Windows<StagedT> block = windows.at(y, first, count);
      const size_t place = size_t{y} * windows.row_places() + first;
      uint32_t panel = columns.begin;
      if constexpr (std::is_same<SumT, int32_t>::value)
        panel += bytes.put(block, count, weights, columns, finish.destination.row(place), finish.destination.u8_stride);
      for (; panel + kMostPanels <= columns.end; panel += kMostPanels)
        panels<kMostPanels>(block, count, place, panel);
      for (; panel < columns.end; ++panel) panels<1>(block, count, place, panel);
    }
  }

  void run(uint32_t part, uint32_t parts) const {
    const uint32_t places = op.out_height * op.out_width, row_places = windows.row_places();
    const uint32_t panels = (op.outputs + kPanel - 1) / kPanel;
    const bool by_place = places >= kBlockRows * parts;  // few places are shared out by panels
    const Share rows(places, by_place ? part : 0, by_place ? parts : 1);
    const Share columns(panels, by_place ? 0 : part, by_place ? 1 : parts);
    for (uint32_t place = rows.begin; place < rows.end;) {
      const uint32_t y = place / row_places, x = place % row_places;
      const uint32_t count = std::min(rows.end - place, row_places - x);
      row(y, x, x + count, columns);
      place += count;
    }
  }
};

inline void conv(const Call& call, uint32_t part, uint32_t parts) {
  const Conv& op = call.operation->conv;
  if (op.is_float)
    Product<float, float, float, float, kFloatRows, 1>(call, 0.0f, part).run(part, parts);
  else
    Product<uint8_t, Staged, int8_t, int32_t, kRows, kPanelsAtOnce>(
        call, static_cast<uint8_t>(op.zero), part)
        .run(part, parts);
}
