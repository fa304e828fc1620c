// Any 64-bit ARM processor (Raspberry Pi 4, Jetson Nano).
#include <arm_neon.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace neon {

#include "vector.h"
#include "arm.h"

constexpr int kRows = 5, kParts = 4, kPartsAtOnce = 2;

// A part holds 4 outputs, each as two halves of its sum.
struct Sum { int32x4_t low, high; };

inline Sum dot(Sum sum, Input input, Weight weight) {
  const int16x8_t low = vmull_s8(vget_low_s8(input), vget_low_s8(weight));
  const int16x8_t high = vmull_high_s8(input, weight);
  return {vpadalq_s16(sum.low, low), vpadalq_s16(sum.high, high)};
}
inline Sum dot_each(Sum sum, const Staged* inputs, int part, Weight weight) {
  return dot(sum, vld1q_s8(inputs + 16 * part), weight);
}
inline void store_sums(const Sum* sums, int count, int32_t* to) {
  for (int i = 0; i < count; ++i) vst1q_s32(to + 4 * i, vpaddq_s32(sums[i].low, sums[i].high));
}

bool is_usable() { return true; }

#include "all.h"

}  // namespace neon

using namespace neon;
const Kernels kNeon = EDGEVIT_KERNELS("neon", picture, depthwise, slic);

}  // namespace edgevit
