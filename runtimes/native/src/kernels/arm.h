// What both 64-bit ARM instruction sets share.

// Inputs are taken about 128, since both factors must be signed.
constexpr int32_t kInputOffset = 128;

using Staged = int8_t;
using Input = int8x16_t;
using Weight = int8x16_t;

inline Input broadcast(const Staged* from) {
  uint32_t four;
  std::memcpy(&four, from, 4);
  return vreinterpretq_s8_u32(vdupq_n_u32(four));
}

inline Weight load_weights(const int8_t* from, int part) { return vld1q_s8(from + 16 * part); }

inline bool any_of(I mask) {
  uint32x4_t low, high;
  std::memcpy(&low, &mask, 16);
  std::memcpy(&high, reinterpret_cast<const char*>(&mask) + 16, 16);
  return vmaxvq_u32(vorrq_u32(low, high)) != 0;
}

// Four rows of 16 bytes become 16 columns of four.
inline void mix_four(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, Staged* to) {
  const uint8x16_t offset = vdupq_n_u8(kInputOffset);
  const uint8x16x4_t rows = {{veorq_u8(vld1q_u8(a), offset), veorq_u8(vld1q_u8(b), offset),
                              veorq_u8(vld1q_u8(c), offset), veorq_u8(vld1q_u8(d), offset)}};
  vst4q_u8(reinterpret_cast<uint8_t*>(to), rows);
}

inline void store_bytes(uint8_t* to, I8 value) {
  int32x4_t low, high;
  std::memcpy(&low, &value, 16);
  std::memcpy(&high, reinterpret_cast<const char*>(&value) + 16, 16);
  vst1_u8(to, vqmovun_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high))));
}

inline void store_panel(uint8_t* to, const I (&values)[2]) {
  store_bytes(to, values[0]);
  store_bytes(to + 8, values[1]);
}
