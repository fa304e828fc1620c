// The parts of an instruction set in plain C++.

inline I8 dot_pairs(I8 sum, const uint8_t* a, const uint8_t* b, const int8_t* weights) {
  for (int i = 0; i < 8; ++i) sum[i] += a[i] * weights[2 * i] + b[i] * weights[2 * i + 1];
  return sum;
}

template <typename Ints>
inline void store_bytes(uint8_t* to, Ints value) {
  for (size_t i = 0; i < sizeof(Ints) / sizeof(int32_t); ++i) to[i] = static_cast<uint8_t>(value[i]);
}

inline void store_panel(uint8_t* to, const I (&values)[2]) {
  store_bytes(to, values[0]);
  store_bytes(to + 8, values[1]);
}
