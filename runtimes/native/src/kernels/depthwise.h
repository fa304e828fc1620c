// Depthwise convolutions: every channel by itself.
//
// Quantized ones are computed 16 channels at a time. Four values that stand below each other, of
// every one of the 16, are first brought side by side ("mixed"): then what multiplies four inputs
// with the weights of 16 outputs multiplies four taps of 16 channels. A mixed column serves all
// windows that it lies in.

// 16 channels at a time, on every instruction set.
struct OfPanel {
  static constexpr size_t kChannels = kPanel;
  static void mix(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, Staged* to) {
    mix_four(a, b, c, d, to);
  }
};

// What some rows of results see of some channels, mixed: [rows][columns][quads][channels][4].
template <typename Group>
struct Mixed {
  const Conv& op;
  const uint8_t* src;
  const uint8_t* outside;  // values of padding, one for every channel
  const uint32_t quads, columns;
  Staged* mixed;

  static constexpr size_t kQuad = 4 * Group::kChannels;

  size_t row_numbers() const { return size_t{columns} * quads * kQuad; }

  // For the rows of results from y on, the channels from the first one on.
  void mix(uint32_t y, uint32_t rows, size_t first) const {
    for (uint32_t row = 0; row < rows; ++row)
      mix_row(int64_t{y + row} * op.stride_h - op.pad_h, first, mixed + row * row_numbers());
  }

 private:
  // The values of the map's rows from `top` on.
  void mix_row(int64_t top, size_t first, Staged* to) const {
    for (uint32_t quad = 0; quad < quads; ++quad, to += kQuad) {
      const uint8_t* row[4];
      size_t step[4];
      for (int i = 0; i < 4; ++i) {
        const int64_t ky = 4 * quad + i, y = top + ky;
        const bool is_inside = ky < op.kernel_h && y >= 0 && y < op.height;
        row[i] = is_inside ? src + y * op.width * op.src_stride + first : outside;
        step[i] = is_inside ? op.src_stride : 0;
      }
      const uint32_t left = std::min(op.pad_w, columns), inside = std::min(op.width, columns - left);
      Staged* column = pad(to, left);
      for (uint32_t x = 0; x < inside; ++x, column += quads * kQuad) {
        Group::mix(row[0], row[1], row[2], row[3], column);
        for (int i = 0; i < 4; ++i) row[i] += step[i];
      }
      pad(column, columns - left - inside);
    }
  }

  Staged* pad(Staged* column, uint32_t count) const {
    for (; count > 0; --count, column += quads * kQuad)
      std::fill_n(column, kQuad, staged(*outside));
    return column;
  }
};

constexpr size_t kQuadOfPanel = Mixed<OfPanel>::kQuad;

// Sums of `places` windows, `step` apart: `count` quads each, times their weights, int32 [places][16].
// A count that is known lets the weights of some parts stay in registers.
template <int kCount>
inline void add_quads(const Staged* mixed, size_t step, uint32_t places, uint32_t count,
                      const int8_t* weights, int32_t* sums) {
  constexpr int kAtOnce = kParts < 2 ? kParts : 2;
  for (int first = 0; first < kParts; first += kAtOnce) {
    int32_t* to = sums + first * (kPanel / kParts);
    const Staged* window = mixed;
    for (uint32_t x = 0; x < places; ++x, window += step, to += kPanel) {
      Sum sum[kAtOnce] = {};
      for (uint32_t quad = 0; quad < (kCount ? kCount : count); ++quad)
        for (int i = 0; i < kAtOnce; ++i) {
          const size_t place = quad * kQuadOfPanel;
          const Weight weight = load_weights(weights + place, first + i);
          sum[i] = dot_each(sum[i], window + place, first + i, weight);
        }
      store_sums(sum, kAtOnce, to);
    }
  }
}

template <Activation kActivation, int kCount>
[[gnu::noinline]] void depthwise_panel(const Mixed<OfPanel>& mixed, uint32_t rows, const Finish& finish,
                                       const int8_t* weights, size_t place, size_t first) {
  const PanelFinish<int32_t, kActivation> results(finish, first);
  const uint32_t width = mixed.op.out_width, quads = mixed.op.kernel_w * mixed.quads;
  const size_t count = std::min<size_t>(finish.outputs - first, kPanel), row_numbers = mixed.row_numbers();
  const size_t step = mixed.op.stride_w * mixed.quads * kQuadOfPanel;
  PanelRows to(finish, place, first);
  int32_t sums[kBlockRows * kPanel];
  for (uint32_t y = 0; y < rows; ++y)
    for (uint32_t x = 0; x < width; x += kBlockRows) {
      const uint32_t places = std::min(kBlockRows, width - x);
      add_quads<kCount>(mixed.mixed + y * row_numbers + x * step, step, places, quads, weights, sums);
      put_rows(results, count, sums, places, to);
    }
}

using DepthwisePanel = void (*)(const Mixed<OfPanel>&, uint32_t, const Finish&, const int8_t*, size_t, size_t);

inline DepthwisePanel depthwise_panel_of(uint32_t activation, uint32_t quads) {
  return for_activation(activation, [quads](auto known) -> DepthwisePanel {
    constexpr Activation of_panel = decltype(known)::value;
    return quads == 3 ? depthwise_panel<of_panel, 3> : depthwise_panel<of_panel, 0>;
  });
}

// With the constants that were padded.
inline Finish depthwise_finish(const Call& call) {
  Finish finish(call);
  finish.scales = call.depthwise->scales.data();
  finish.bias = call.depthwise->bias.data();
  finish.column_sums = call.depthwise->sums.data();
  return finish;
}

// Calls `run(mixed, rows, weights, place, channel)` for some rows of results and a group of channels at
// a time.
template <typename Group, typename Run>
inline void for_groups(const Call& call, uint32_t part, uint32_t parts, Run run) {
  const Conv& op = call.operation->conv;
  const DepthwiseTables& tables = *call.depthwise;
  uint8_t outside[Group::kChannels];
  std::fill_n(outside, sizeof outside, static_cast<uint8_t>(op.zero));
  const Mixed<Group> mixed{op, call.read<uint8_t>(op.src), outside, tables.quads, DepthwiseTables::columns(op),
                           reinterpret_cast<Staged*>(call.staging_of(part))};
  const size_t of_group = size_t{op.kernel_w} * tables.quads * Mixed<Group>::kQuad;
  const Share rows(op.out_height, part, parts);
  for (uint32_t y = rows.begin; y < rows.end; y += kMixedRows) {
    const uint32_t count = std::min(kMixedRows, rows.end - y);
    const int8_t* weights = tables.weights.data();
    for (size_t first = 0; first < op.channels; first += Group::kChannels, weights += of_group) {
      mixed.mix(y, count, first);
      run(mixed, count, weights, size_t{y} * op.out_width, first);
    }
  }
}

inline void depthwise_bytes(const Call& call, uint32_t part, uint32_t parts) {
  const Finish finish = depthwise_finish(call);
  const size_t quads = size_t{call.operation->conv.kernel_w} * call.depthwise->quads;
  const DepthwisePanel panel = depthwise_panel_of(finish.activation, quads);
  for_groups<OfPanel>(call, part, parts,
                      [&](const Mixed<OfPanel>& mixed, uint32_t rows, const int8_t* weights, size_t place,
                          size_t first) { panel(mixed, rows, finish, weights, place, first); });
}

// Where the taps of one window lie; `outside` is a place of padding.
inline void find_taps(const Conv& op, const float* src, uint32_t place, const float* outside,
                      const float** taps) {
  const int64_t top = int64_t{place / op.out_width} * op.stride_h - op.pad_h;
  const int64_t left = int64_t{place % op.out_width} * op.stride_w - op.pad_w;
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky)
    for (uint32_t kx = 0; kx < op.kernel_w; ++kx) {
      const int64_t y = top + ky, x = left + kx;
      const bool inside = y >= 0 && y < op.height && x >= 0 && x < op.width;
      *taps++ = inside ? src + (y * op.width + x) * op.src_stride : outside;
    }
}

constexpr uint32_t kMostTaps = 256;

inline void depthwise_floats(const Call& call, uint32_t part, uint32_t parts) {
  const Finish finish(call);
  const Conv& op = call.operation->conv;
  const float* weights = call.read<float>(op.weights);
  const uint32_t count = op.kernel_h * op.kernel_w;
  float* outside = reinterpret_cast<float*>(call.staging_of(part));
  std::fill_n(outside, op.channels, 0.0f);
  const float* taps[kMostTaps];
  const Share places(op.out_height * op.out_width, part, parts);
  for (uint32_t place = places.begin; place < places.end; ++place) {
    find_taps(op, call.read<float>(op.src), place, outside, taps);
    put_row<F>(finish.destination.row(place), op.channels, [&](size_t c, size_t lanes) {
      F sum = {};
      for (uint32_t tap = 0; tap < count; ++tap) {
        const F weight = load_first<F>(weights + size_t{tap} * op.channels + c, lanes);
        sum += load_first<F>(taps[tap] + c, lanes) * weight;
      }
      return activated(F(sum + load_first<F>(finish.bias + c, lanes)), finish.activation);
    });
  }
}

inline void depthwise(const Call& call, uint32_t part, uint32_t parts) {
  if (call.operation->conv.is_float)
    depthwise_floats(call, part, parts);
  else
    depthwise_bytes(call, part, parts);
}
