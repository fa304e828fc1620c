// From the sums of a product to its result: scales, biases, activation, residual.

// All that an operation's results are made with, but the sums.
struct Finish {
  const float *scales, *bias, *residual;
  const int32_t* column_sums;
  int32_t offset;
  uint32_t outputs, activation;
  size_t residual_stride;
  Destination destination;
  // Where a sum becomes a byte and nothing else, its scale and bias are multiplied by `factor`, the
  // inverse scale of the bytes, once; values need not be scaled a second time.
  bool gives_only_bytes;
  float factor = 1.0f;

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
    if (is_least_byte()) activation = 0, destination.quantized.least = 0.0f;
    gives_only_bytes = !op.is_float && activation == 0 && !residual && !destination.f32;
    if (gives_only_bytes) std::swap(factor, destination.quantized.inverse_scale);
  }

  // Whether ReLU is a bound of the bytes, since nothing else is wanted.
  bool is_least_byte() const {
    return activation == static_cast<uint32_t>(Activation::relu) && !destination.f32 && !residual &&
           destination.quantized.inverse_scale > 0.0f;
  }
};

// The results of one panel of 16 outputs. It holds copies of all constants: the bytes that it stores
// could else be what it reads, for all that a compiler knows.
template <typename SumT, Activation kActivation>
struct PanelFinish {
  static constexpr int kVectors = kPanel / kLanes;

  I correction[kVectors];
  F scale[kVectors], bias[kVectors];
  const WideQuantization<F> quantized;

  PanelFinish(const Finish& finish, size_t first) : quantized(finish.destination.quantized) {
    for (int v = 0; v < kVectors; ++v) {
      bias[v] = load<F>(finish.bias + first + v * kLanes) * finish.factor;
      if (std::is_same<SumT, float>::value) continue;
      scale[v] = load<F>(finish.scales + first + v * kLanes) * finish.factor;
      correction[v] = load<I>(finish.column_sums + first + v * kLanes) * finish.offset;
    }
  }

  F value(const float* sums, int v) const { return load<F>(sums) + bias[v]; }
  F value(const int32_t* sums, int v) const {
    const I whole = load<I>(sums) + correction[v];
    return __builtin_convertvector(whole, F) * scale[v] + bias[v];
  }

  // Nothing but bytes, 16 of them.
  void put_bytes(const SumT* sums, uint8_t* u8) const {
    I bytes[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const F result = activated(value(sums + v * kLanes, v), static_cast<uint32_t>(kActivation));
      const bool is_scaled = kActivation == Activation::none && std::is_same<SumT, int32_t>::value;
      bytes[v] = is_scaled ? quantized.of_scaled(result) : quantized(result);
    }
    store_panel(u8, bytes);
  }

  // Any of the places may be NULL; 16 numbers each.
  void put(const SumT* sums, const float* residual, float* f32, uint8_t* u8) const {
    I bytes[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      F result = activated(value(sums + v * kLanes, v), static_cast<uint32_t>(kActivation));
      if (residual) result += load<F>(residual + v * kLanes);
      if (f32) store(f32 + v * kLanes, result);
      bytes[v] = quantized(result);
    }
    if (u8) store_panel(u8, bytes);
  }
};

// Where the rows of one panel go, and what is added to them; each may be NULL.
struct PanelRows {
  const float* residual;
  float* f32;
  uint8_t* u8;
  size_t residual_stride, f32_stride, u8_stride;

  PanelRows(const Finish& finish, size_t place, size_t first)
      : residual(finish.residual ? finish.residual + place * finish.residual_stride + first : nullptr),
        f32(finish.destination.row(place).f32),
        u8(finish.destination.row(place).u8),
        residual_stride(residual ? finish.residual_stride : 0),
        f32_stride(f32 ? finish.destination.f32_stride : 0),
        u8_stride(u8 ? finish.destination.u8_stride : 0) {
    if (f32) f32 += first;
    if (u8) u8 += first;
  }

  void next() {
    residual += residual_stride;
    f32 += f32_stride;
    u8 += u8_stride;
  }
};

// Copies the first `count` of 16 numbers: mostly half of them, which takes no call.
template <typename T>
inline void copy_first(T* to, const T* from, size_t count) {
  if (count == kPanel / 2)
    std::memcpy(to, from, kPanel / 2 * sizeof(T));
  else
    std::memcpy(to, from, count * sizeof(T));
}

// The last panel, of which only `count` outputs are wanted.
template <typename SumT, Activation kActivation>
inline void put_first(const PanelFinish<SumT, kActivation>& results, size_t count, const SumT* sums,
                      const PanelRows& to) {
  float residual[kPanel] = {}, f32[kPanel];
  uint8_t u8[kPanel];
  if (to.residual) copy_first(residual, to.residual, count);
  results.put(sums, to.residual ? residual : nullptr, f32, u8);
  if (to.f32) copy_first(to.f32, f32, count);
  if (to.u8) copy_first(to.u8, u8, count);
}

// Rows of one panel's sums, [rows][16], to their places, of which `count` outputs are wanted.
template <typename SumT, Activation kActivation>
inline void put_rows(const PanelFinish<SumT, kActivation>& results, size_t count, const SumT* sums,
                     uint32_t rows, PanelRows& to) {
  if (count < kPanel)
    for (uint32_t row = 0; row < rows; ++row, sums += kPanel, to.next()) put_first(results, count, sums, to);
  else if (!to.residual && !to.f32)
    for (uint32_t row = 0; row < rows; ++row, sums += kPanel, to.u8 += to.u8_stride)
      results.put_bytes(sums, to.u8);
  else
    for (uint32_t row = 0; row < rows; ++row, sums += kPanel, to.next())
      results.put(sums, to.residual, to.f32, to.u8);
}

template <typename SumT, Activation kActivation>
[[gnu::noinline]] void finish_rows(const Finish& finish, const SumT* sums, uint32_t rows, size_t place,
                                   size_t panel) {
  const size_t first = panel * kPanel, count = std::min<size_t>(finish.outputs - first, kPanel);
  const PanelFinish<SumT, kActivation> results(finish, first);
  PanelRows to(finish, place, first);
  put_rows(results, count, sums, rows, to);
}

template <typename SumT>
using FinishRows = void (*)(const Finish&, const SumT*, uint32_t, size_t, size_t);

template <typename SumT>
inline FinishRows<SumT> finish_of(uint32_t activation) {
  return for_activation(activation, [](auto known) -> FinishRows<SumT> {
    return finish_rows<SumT, decltype(known)::value>;
  });
}
