// 64-bit ARM with the dot product extension (Jetson Orin, Raspberry Pi 5).
#include <arm_neon.h>
#include <sys/auxv.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace neon_dot {

#include "vector.h"

// Inputs are taken about 128, since both factors must be signed.
constexpr int kRows = 6, kParts = 4, kPartsAtOnce = 4;
constexpr int32_t kInputOffset = 128;

using Sum = int32x4_t;
using Input = int8x16_t;
using Weight = int8x16_t;

using Staged = int8_t;

inline Input broadcast(const Staged* from) {
  uint32_t four;
  std::memcpy(&four, from, 4);
  return vreinterpretq_s8_u32(vdupq_n_u32(four));
}
inline Weight load_weights(const int8_t* from, int part) { return vld1q_s8(from + 16 * part); }
inline Sum dot(Sum sum, Input input, Weight weight) { return vdotq_s32(sum, input, weight); }
inline void store_sums(Sum sum, int part, int32_t* to) { vst1q_s32(to + 4 * part, sum); }

#include "arm.h"

// HWCAP_ASIMDDP of Linux.
bool is_usable() { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; }

#include "all.h"

}  // namespace neon_dot

using namespace neon_dot;
const Kernels kNeonDot = EDGEVIT_KERNELS("neon-dot");

}  // namespace edgevit
