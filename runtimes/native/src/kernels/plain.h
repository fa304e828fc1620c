// The parts of an instruction set in plain C++.

// Four rows of 16 bytes become 16 columns of four.
inline void mix_four(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, Staged* to) {
  for (uint32_t i = 0; i < kPanel; ++i, to += 4) to[0] = a[i], to[1] = b[i], to[2] = c[i], to[3] = d[i];
}

inline bool any_of(I mask) {
  int32_t any = 0;
  for (int i = 0; i < kLanes; ++i) any |= mask[i];
  return any != 0;
}

template <typename Ints>
inline void store_bytes(uint8_t* to, Ints value) {
  for (size_t i = 0; i < sizeof(Ints) / sizeof(int32_t); ++i) to[i] = static_cast<uint8_t>(value[i]);
}

inline void store_panel(uint8_t* to, const I (&values)[2]) {
  store_bytes(to, values[0]);
  store_bytes(to + 8, values[1]);
}
