// The end of every operation: rows of floats are stored, quantized, or both.

// How floats become bytes.
struct Quantization {
  float inverse_scale, least, greatest;
  int32_t zero;

  explicit Quantization(const Output& output)
      : inverse_scale(output.inverse_scale),
        least(-static_cast<float>(output.zero)),
        greatest(255.0f - static_cast<float>(output.zero)),
        zero(static_cast<int32_t>(output.zero)) {}

  int32_t least_byte() const { return zero + static_cast<int32_t>(least); }

  template <typename V>
  IntsOf<V> operator()(V value) const;
};

// The same with its constants in registers.
template <typename V>
struct WideQuantization {
  V inverse_scale, least, greatest;
  IntsOf<V> shift;

  explicit WideQuantization(const Quantization& q)
      : inverse_scale(fill<V>(q.inverse_scale)),
        least(fill<V>(q.least)),
        greatest(fill<V>(q.greatest)),
        shift(IntsOf<V>{} + (q.zero - kShiftBits)) {}

  // Whole numbers 0..255.
  IntsOf<V> operator()(V value) const { return of_scaled(V(value * inverse_scale)); }

  // The same of values that were divided by the scale. The bounds come first, so that rounding sees
  // small numbers only; NaN becomes the least.
  IntsOf<V> of_scaled(V value) const {
    const V x = lesser_of(greater_of(value, least), greatest);
    return same_bits<IntsOf<V>>(V(x + kShift)) + shift;
  }
};

template <typename V>
inline IntsOf<V> Quantization::operator()(V value) const {
  return WideQuantization<V>(*this)(value);
}

// The first `count` of some whole numbers as bytes.
template <typename Ints>
inline void put_bytes(uint8_t* to, Ints values, size_t count) {
  constexpr size_t lanes = sizeof(Ints) / sizeof(int32_t);
  if (count >= lanes) return store_bytes(to, values);
  uint8_t bytes[lanes];
  store_bytes(bytes, values);
  std::memcpy(to, bytes, count);
}

// The same of floats.
template <typename V>
inline void put_floats(float* to, V values, size_t count) {
  if (count >= kLanesOf<V>) return store(to, values);
  std::memcpy(to, &values, count * sizeof(float));
}

// One row of a result.
struct Target {
  float* f32;
  uint8_t* u8;
  Quantization quantized;

  template <typename V>
  void put(size_t column, V value) const {
    if (f32) store(f32 + column, value);
    if (u8) store_bytes(u8 + column, quantized(value));
  }
  // Only the first `count` of its lanes, which may be all.
  template <typename V>
  void put_first(size_t column, V value, size_t count) const {
    if (f32) put_floats(f32 + column, value, count);
    if (u8) put_bytes(u8 + column, quantized(value), count);
  }
};

// The rows of a result.
struct Destination {
  float* f32;
  uint8_t* u8;
  size_t f32_stride, u8_stride;
  Quantization quantized;

  Destination(const Call& call, const Output& output)
      : f32(call.write<float>(output.f32)),
        u8(call.write<uint8_t>(output.u8)),
        f32_stride(output.f32_stride),
        u8_stride(output.u8_stride),
        quantized(output) {}

  Target row(size_t row) const {
    return {f32 ? f32 + row * f32_stride : nullptr, u8 ? u8 + row * u8_stride : nullptr, quantized};
  }
};

// Calls `value_at(column, count)`, which gives a vector whose first `count` lanes matter.
template <typename V, typename ValueAt>
inline void put_row(const Target& target, size_t columns, ValueAt value_at) {
  constexpr size_t lanes = kLanesOf<V>;
  size_t column = 0;
  for (; column + lanes <= columns; column += lanes) target.put(column, V(value_at(column, lanes)));
  if (column < columns)
    target.put_first(column, V(value_at(column, columns - column)), columns - column);
}

// Some floats, fewer than a vector's lanes or as many; zeros beyond.
template <typename V>
inline V load_first(const float* from, size_t count) {
  if (count >= kLanesOf<V>) return load<V>(from);
  V result = {};
  std::memcpy(&result, from, count * sizeof(float));
  return result;
}

// `choose` of an activation that is known when the library is compiled.
template <typename Choose>
inline auto for_activation(uint32_t activation, Choose choose) {
  switch (static_cast<Activation>(activation)) {
    case Activation::relu: return choose(std::integral_constant<Activation, Activation::relu>());
    case Activation::gelu: return choose(std::integral_constant<Activation, Activation::gelu>());
    case Activation::hard_swish: return choose(std::integral_constant<Activation, Activation::hard_swish>());
    case Activation::none: break;
  }
  return choose(std::integral_constant<Activation, Activation::none>());
}

template <typename V>
inline V activated(V value, uint32_t activation) {
  switch (static_cast<Activation>(activation)) {
    case Activation::relu: return greater_of(value, fill<V>(0.0f));
    case Activation::gelu: return gelu(value);
    case Activation::hard_swish: return value * hard_sigmoid(value);
    case Activation::none: break;
  }
  return value;
}
