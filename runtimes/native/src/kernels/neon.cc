// Any 64-bit ARM processor (Raspberry Pi 4, Jetson Nano).
#include <arm_neon.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace neon {

#include "vector.h"

// Inputs are taken about 128, since both factors must be signed.
constexpr int kRows = 3, kParts = 4, kPartsAtOnce = 4;
constexpr int32_t kInputOffset = 128;

// A part holds 4 outputs, each as two halves of its sum.
struct Sum { int32x4_t low, high; };
using Input = int8x16_t;
using Weight = int8x16_t;

using Staged = int8_t;

inline Input broadcast(const Staged* from) {
  uint32_t four;
  std::memcpy(&four, from, 4);
  return vreinterpretq_s8_u32(vdupq_n_u32(four));
}
inline Weight load_weights(const int8_t* from, int part) { return vld1q_s8(from + 16 * part); }
inline Sum dot(Sum sum, Input input, Weight weight) {
  const int16x8_t low = vmull_s8(vget_low_s8(input), vget_low_s8(weight));
  const int16x8_t high = vmull_high_s8(input, weight);
  return {vpadalq_s16(sum.low, low), vpadalq_s16(sum.high, high)};
}
inline void store_sums(const Sum& sum, int part, int32_t* to) {
  vst1q_s32(to + 4 * part, vpaddq_s32(sum.low, sum.high));
}

#include "arm.h"

bool is_usable() { return true; }

#include "all.h"

}  // namespace neon

using namespace neon;
const Kernels kNeon = EDGEVIT_KERNELS("neon");

}  // namespace edgevit
