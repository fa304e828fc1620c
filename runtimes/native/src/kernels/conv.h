// Convolutions, and matrix products, which are convolutions of one place.
//
// The windows of a block of rows (places of the result) are first laid side by side in the staging
// memory, in the form that the instruction set multiplies. Then a tile is some of these rows times
// one panel of 16 outputs; the block stays in the nearest cache while all panels pass by.

// The places of a result in order, and where their windows begin.
struct Places {
  const Conv& op;
  uint32_t y, x;

  Places(const Conv& op, uint32_t place) : op(op), y(place / op.out_width), x(place % op.out_width) {}

  int64_t top() const { return int64_t{y} * op.stride_h - op.pad_h; }
  int64_t left() const { return int64_t{x} * op.stride_w - op.pad_w; }
  bool is_inside() const {
    return top() >= 0 && left() >= 0 && top() + op.kernel_h <= op.height &&
           left() + op.kernel_w <= op.width;
  }
  void next() {
    if (++x == op.out_width) x = 0, ++y;
  }
};

// Brings numbers into the form that is multiplied. It works on 16 at a time and goes on beyond the
// last one: what it writes there belongs to the next window, which comes after, or to the slack at
// the end; what it reads there is the slack of the arena.
inline void stage(const uint8_t* from, size_t count, Staged* to) {
  typedef uint8_t From __attribute__((vector_size(16)));
  typedef Staged To __attribute__((vector_size(16 * sizeof(Staged))));
  for (size_t i = 0; i < count; i += 16)
    store(to + i, __builtin_convertvector(load<From>(from + i) ^ uint8_t{kInputOffset}, To));
}

inline void stage(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

inline float staged(float value) { return value; }
inline Staged staged(uint8_t value) { return static_cast<Staged>(value ^ kInputOffset); }

// Lays a window side by side; `pad` stands for what lies outside of the map.
template <typename T, typename To>
inline void stage_window(const Conv& op, const T* src, const Places& at, T pad, To* to) {
  const size_t stretch = size_t{op.kernel_w} * op.channels;
  if (at.is_inside() && (op.kernel_w == 1 || op.src_stride == op.channels)) {
    const T* from = src + (at.top() * op.width + at.left()) * op.src_stride;
    for (uint32_t ky = 0; ky < op.kernel_h; ++ky, to += stretch)
      stage(from + ky * size_t{op.width} * op.src_stride, stretch, to);
    return;
  }
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky)
    for (uint32_t kx = 0; kx < op.kernel_w; ++kx, to += op.channels) {
      const int64_t y = at.top() + ky, x = at.left() + kx;
      if (y >= 0 && y < op.height && x >= 0 && x < op.width)
        stage(src + (y * op.width + x) * op.src_stride, op.channels, to);
      else
        std::fill_n(to, op.channels, staged(pad));
    }
}

// Sums of R rows times a panel: int32 [R][16], kPartsAtOnce of its parts at a time. Not inlined: the
// loop needs every register.
template <int R>
[[gnu::noinline]] void multiply(const Staged* rows, size_t inputs, const int8_t* weights,
                                int32_t* sums) {
  for (int first = 0; first < kParts; first += kPartsAtOnce) {
    Sum sum[R][kPartsAtOnce] = {};
#pragma GCC unroll 4
    for (size_t c = 0; c < inputs; c += 4) {
      Weight weight[kPartsAtOnce];
      for (int part = 0; part < kPartsAtOnce; ++part)
        weight[part] = load_weights(weights + c * kPanel, first + part);
      for (int r = 0; r < R; ++r) {
        const Input input = broadcast(rows + r * inputs + c);
        for (int part = 0; part < kPartsAtOnce; ++part)
          sum[r][part] = dot(sum[r][part], input, weight[part]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int part = 0; part < kPartsAtOnce; ++part)
        store_sums(sum[r][part], first + part, sums + r * kPanel);
  }
}

constexpr int kFloatRows = 4;

// The same of floats: float [R][16].
template <int R>
[[gnu::noinline]] void multiply(const float* rows, size_t inputs, const float* weights, float* sums) {
  constexpr int kVectors = kPanel / kLanes;
  F sum[R][kVectors] = {};
  for (size_t c = 0; c < inputs; ++c, weights += kPanel)
    for (int v = 0; v < kVectors; ++v) {
      const F weight = load<F>(weights + v * kLanes);
      for (int r = 0; r < R; ++r) sum[r][v] += weight * rows[r * inputs + c];
    }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * kPanel + v * kLanes, sum[r][v]);
}

// Scales, biases, activation, residual: from sums to the result. It holds copies of everything:
// the bytes that it stores could else be what it reads.
struct Finish {
  const float *scales, *bias, *residual;
  const int32_t* column_sums;
  int32_t offset;
  uint32_t outputs, activation;
  size_t residual_stride;
  Destination destination;

  explicit Finish(const Call& call) : destination(call, call.operation->conv.output) {
    const Conv& op = call.operation->conv;
    scales = call.read<float>(op.scales);
    bias = call.read<float>(op.bias);
    residual = call.read<float>(op.residual);
    column_sums = call.read<int32_t>(op.sums);
    offset = kInputOffset - static_cast<int32_t>(op.zero);
    outputs = op.outputs;
    activation = op.activation;
    residual_stride = op.residual_stride;
  }

  template <typename V>
  V value(IntsOf<V> sums, size_t output) const {
    const IntsOf<V> whole = sums + load<IntsOf<V>>(column_sums + output) * offset;
    return __builtin_convertvector(whole, V) * load<V>(scales + output) + load<V>(bias + output);
  }
  template <typename V>
  V value(V sums, size_t output) const {
    return sums + load<V>(bias + output);
  }
};

inline F load_sums(const float* sums) { return load<F>(sums); }
inline I load_sums(const int32_t* sums) { return load<I>(sums); }

// Results that become bytes, with ReLU or without: nearly all of the work.
struct ByteFinish {
  Finish finish;
  Quantization quantized;

  explicit ByteFinish(const Finish& finish)
      : finish(finish), quantized(finish.destination.quantized) {
    if (finish.activation != 0) quantized.least = 0.0f;  // ReLU; scales are positive
  }

  static bool fits(const Finish& finish) {
    return finish.destination.f32 == nullptr && finish.residual == nullptr &&
           finish.activation <= static_cast<uint32_t>(Activation::relu) &&
           finish.destination.quantized.inverse_scale > 0.0f;
  }

  uint8_t* row(size_t place) const {
    return finish.destination.u8 + place * finish.destination.u8_stride;
  }

  // 16 sums of the outputs from `first` on.
  void panel(const int32_t* sums, size_t first, uint8_t* row) const {
    I results[kPanel / kLanes];
    for (size_t i = 0; i < kPanel / kLanes; ++i)
      results[i] = quantized(finish.value<F>(load<I>(sums + i * kLanes), first + i * kLanes));
    store_panel(row + first, results);
  }
};

[[gnu::noinline]] void finish_bytes(const Finish& given, const int32_t* sums, uint32_t rows,
                                    size_t place, size_t panel) {
  const ByteFinish finish(given);
  for (uint32_t r = 0; r < rows; ++r, sums += kPanel)
    finish.panel(sums, panel * kPanel, finish.row(place + r));
}

// Some rows times one panel.
template <typename T>
[[gnu::noinline]] void finish_rows(const Finish& given, const T* sums, uint32_t rows, size_t place,
                                   size_t panel) {
  const Finish finish = given;
  for (uint32_t r = 0; r < rows; ++r, ++place, sums += kPanel) {
    const Target target = finish.destination.row(place);
    for (size_t i = 0; i < kPanel; i += kLanes) {
      const size_t output = panel * kPanel + i;
      if (output >= finish.outputs) break;
      const size_t left = finish.outputs - output, count = left < kLanes ? left : kLanes;
      F result = activated(finish.value<F>(load_sums(sums + i), output), finish.activation);
      if (finish.residual)
        result += load_first<F>(finish.residual + place * finish.residual_stride + output, count);
      if (count == kLanes)
        target.put(output, result);
      else
        target.put_first(output, result, count);
    }
  }
}

inline void finish_panel(const Finish& finish, const float* sums, uint32_t rows, size_t place,
                         size_t panel) {
  finish_rows(finish, sums, rows, place, panel);
}

inline void finish_panel(const Finish& finish, const int32_t* sums, uint32_t rows, size_t place,
                         size_t panel) {
  if (ByteFinish::fits(finish) && (panel + 1) * kPanel <= finish.outputs)
    finish_bytes(finish, sums, rows, place, panel);
  else
    finish_rows(finish, sums, rows, place, panel);
}

// One operation: floats, or bytes.
template <typename T, typename StagedT, typename W, typename SumT, int R>
struct Product {
  const Finish finish;
  const Conv& op;
  const size_t inputs;
  const W* weights;
  StagedT* staging;

  Product(const Call& call, uint32_t part)
      : finish(call),
        op(call.operation->conv),
        inputs(size_t{op.kernel_h} * op.kernel_w * op.channels),
        weights(call.read<W>(op.weights)),
        staging(reinterpret_cast<StagedT*>(call.staging_of(part))) {}

  // The rows that are left over: R - 1 of them, or fewer.
  template <int Rows>
  void last_rows(uint32_t left, const StagedT* rows, const W* panel, SumT* sums) const {
    if constexpr (Rows > 0) {
      if (left == Rows)
        multiply<Rows>(rows, inputs, panel, sums);
      else
        last_rows<Rows - 1>(left, rows, panel, sums);
    }
  }

  void block(const T* src, T pad, Places& at, uint32_t first, uint32_t rows, const Share& panels) const {
    alignas(64) SumT sums[kBlockRows * kPanel];
    for (uint32_t row = 0; row < rows; ++row, at.next())
      stage_window(op, src, at, pad, staging + row * inputs);
    for (uint32_t panel = panels.begin; panel < panels.end; ++panel) {
      const W* weight = weights + panel * inputs * kPanel;
      uint32_t row = 0;
      for (; row + R <= rows; row += R)
        multiply<R>(staging + row * inputs, inputs, weight, sums + row * kPanel);
      last_rows<R - 1>(rows - row, staging + row * inputs, weight, sums + row * kPanel);
      finish_panel(finish, sums, rows, first, panel);
    }
  }

  void run(const Call& call, T pad, uint32_t part, uint32_t parts) const {
    const uint32_t places = op.out_height * op.out_width;
    const uint32_t panels = (op.outputs + kPanel - 1) / kPanel;
    const bool by_place = places >= kBlockRows * parts;  // few places are shared out by panels
    const Share rows(places, by_place ? part : 0, by_place ? parts : 1, R);
    const Share columns(panels, by_place ? 0 : part, by_place ? 1 : parts);
    const T* src = call.read<T>(op.src);
    Places at(op, rows.begin);
    for (uint32_t place = rows.begin; place < rows.end; place += kBlockRows)
      block(src, pad, at, place, std::min(kBlockRows, rows.end - place), columns);
  }
};

inline void conv(const Call& call, uint32_t part, uint32_t parts) {
  const Conv& op = call.operation->conv;
  if (op.is_float)
    Product<float, float, float, float, kFloatRows>(call, part).run(call, 0.0f, part, parts);
  else
    Product<uint8_t, Staged, int8_t, int32_t, kRows>(call, part)
        .run(call, static_cast<uint8_t>(op.zero), part, parts);
}
