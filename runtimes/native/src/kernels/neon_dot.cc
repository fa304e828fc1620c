// 64-bit ARM with the dot product extension (Jetson Orin, Raspberry Pi 5).
#include <arm_neon.h>
#include <sys/auxv.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace neon_dot {

#include "vector.h"
#include "arm.h"

constexpr int kRows = 6, kParts = 4, kPartsAtOnce = 4;

using Sum = int32x4_t;

inline Sum dot(Sum sum, Input input, Weight weight) { return vdotq_s32(sum, input, weight); }
inline Sum dot_each(Sum sum, const Staged* inputs, int part, Weight weight) {
  return dot(sum, vld1q_s8(inputs + 16 * part), weight);
}
inline void store_sums(const Sum* sums, int count, int32_t* to) {
  for (int i = 0; i < count; ++i) vst1q_s32(to + 4 * i, sums[i]);
}

// HWCAP_ASIMDDP of Linux.
bool is_usable() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }

#include "all.h"

}  // namespace neon_dot

using namespace neon_dot;
const Kernels kNeonDot = EDGEVIT_KERNELS("neon-dot", picture, depthwise, slic);

}  // namespace edgevit
