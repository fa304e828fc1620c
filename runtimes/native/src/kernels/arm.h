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

inline I8 dot_pairs(I8 sum, const uint8_t* a, const uint8_t* b, const int8_t* weights) {
  const int8x8x2_t pairs = vld2_s8(weights);
  const int16x8_t first = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(a)));
  const int16x8_t second = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(b)));
  const int16x8_t w0 = vmovl_s8(pairs.val[0]), w1 = vmovl_s8(pairs.val[1]);
  int32x4_t low = vmull_s16(vget_low_s16(first), vget_low_s16(w0));
  int32x4_t high = vmull_high_s16(first, w0);
  low = vmlal_s16(low, vget_low_s16(second), vget_low_s16(w1));
  high = vmlal_high_s16(high, second, w1);
  I8 products;
  std::memcpy(&products, &low, 16);
  std::memcpy(reinterpret_cast<char*>(&products) + 16, &high, 16);
  return sum + products;
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
