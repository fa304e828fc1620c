// Convolutions, and matrix products, which are convolutions of one place.
//
// A tile is some windows (rows) times one or two panels of 16 outputs. The windows of a block of
// places are laid side by side first, where they do not lie so already; the block stays in the
// nearest cache while all panels pass by.

constexpr int kPanelsAtOnce = kPartsAtOnce > kParts ? kPartsAtOnce / kParts : 1;

// Sums of R rows, `stride` apart, times some panels: int32 [panels][kBlockRows][16], the first R of
// each. Not inlined: the loop needs every register.
template <int R, int kPanels>
[[gnu::noinline]] void multiply(const Staged* rows, size_t stride, size_t inputs, const int8_t* weights,
                                int32_t* sums) {
  constexpr int parts = kPanels * kParts, at_once = parts < kPartsAtOnce ? parts : kPartsAtOnce;
  for (int first = 0; first < parts; first += at_once) {
    Sum sum[R][at_once] = {};
#pragma GCC unroll 4
    for (size_t c = 0; c < inputs; c += 4) {
      Weight weight[at_once];
      for (int i = 0; i < at_once; ++i) {
        const int panel = (first + i) / kParts, part = (first + i) % kParts;
        weight[i] = load_weights(weights + (panel * inputs + c) * kPanel, part);
      }
      for (int r = 0; r < R; ++r) {
        const Input input = broadcast(rows + r * stride + c);
        for (int i = 0; i < at_once; ++i) sum[r][i] = dot(sum[r][i], input, weight[i]);
      }
    }
    for (int i = 0; i < at_once; ++i)
      for (int r = 0; r < R; ++r) {
        const int panel = (first + i) / kParts, part = (first + i) % kParts;
        store_sums(sum[r][i], part, sums + (panel * kBlockRows + r) * kPanel);
      }
  }
}

constexpr int kFloatRows = 4;

// The same of floats: float [R][16].
template <int R, int kPanels>
[[gnu::noinline]] void multiply(const float* rows, size_t stride, size_t inputs, const float* weights,
                                float* sums) {
  static_assert(kPanels == 1, "floats are multiplied with one panel at a time");
  constexpr int kVectors = kPanel / kLanes;
  F sum[R][kVectors] = {};
  for (size_t c = 0; c < inputs; ++c, weights += kPanel)
    for (int v = 0; v < kVectors; ++v) {
      const F weight = load<F>(weights + v * kLanes);
      for (int r = 0; r < R; ++r) sum[r][v] += weight * rows[r * stride + c];
    }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * kPanel + v * kLanes, sum[r][v]);
}

// One operation: floats, or bytes. Tiles have up to kMostRows rows.
template <typename T, typename StagedT, typename W, typename SumT, int kMostRows, int kMostPanels>
struct Product {
  using Multiply = void (*)(const StagedT*, size_t, size_t, const W*, SumT*);

  const Conv& op;
  const Windows<T, StagedT> windows;
  const Finish finish;
  const FinishRows<SumT> finish_panel;
  const W* weights;
  StagedT* staging;

  Product(const Call& call, T pad, uint32_t part)
      : op(call.operation->conv),
        windows(op, call.read<T>(op.src), pad),
        finish(call),
        finish_panel(finish_of<SumT>(finish.activation)),
        weights(call.read<W>(op.weights)),
        staging(reinterpret_cast<StagedT*>(call.staging_of(part))) {}

  template <int kPanels, int... R>
  static Multiply multiply_of(uint32_t rows, std::integer_sequence<int, R...>) {
    static constexpr Multiply all[] = {multiply<R + 1, kPanels>...};
    return all[rows - 1];
  }

  // A block times some panels. Tiles are as even as they can be: one of a row or two would wait for
  // its own sums.
  template <int kPanels>
  void panels(const StagedT* rows, size_t stride, const Share& places, uint32_t panel) const {
    alignas(64) SumT sums[kPanels * kBlockRows * kPanel];
    const uint32_t count = places.end - places.begin, tiles = (count + kMostRows - 1) / kMostRows;
    for (uint32_t tile = 0; tile < tiles; ++tile) {
      const Share share(count, tile, tiles);
      const Multiply multiply = multiply_of<kPanels>(share.end - share.begin,
                                                     std::make_integer_sequence<int, kMostRows>());
      multiply(rows + share.begin * stride, stride, windows.size, weights + panel * windows.size * kPanel,
               sums + share.begin * kPanel);
    }
    for (int i = 0; i < kPanels; ++i)
      finish_panel(finish, sums + i * kBlockRows * kPanel, count, places.begin, panel + i);
  }

  void block(const Share& places, const Share& columns) const {
    const bool as_they_are = windows.are_places();
    if (!as_they_are) windows.lay(places.begin, places.end - places.begin, staging);
    const StagedT* rows = staging;
    if constexpr (kAsTheyAre<T, StagedT>)
      if (as_they_are) rows = windows.src + size_t{places.begin} * op.src_stride;
    const size_t stride = as_they_are ? op.src_stride : windows.size;
    uint32_t panel = columns.begin;
    for (; panel + kMostPanels <= columns.end; panel += kMostPanels)
      panels<kMostPanels>(rows, stride, places, panel);
    for (; panel < columns.end; ++panel) panels<1>(rows, stride, places, panel);
  }

  void run(uint32_t part, uint32_t parts) const {
    const uint32_t places = op.out_height * op.out_width;
    const uint32_t panels = (op.outputs + kPanel - 1) / kPanel;
    const bool by_place = places >= kBlockRows * parts;  // few places are shared out by panels
    const Share rows(places, by_place ? part : 0, by_place ? parts : 1);
    const Share columns(panels, by_place ? 0 : part, by_place ? 1 : parts);
    const uint32_t count = rows.end - rows.begin, blocks = (count + kBlockRows - 1) / kBlockRows;
    for (uint32_t i = 0; i < blocks; ++i) {
      Share share(count, i, blocks);
      share.begin += rows.begin;
      share.end += rows.begin;
      block(share, columns);
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
