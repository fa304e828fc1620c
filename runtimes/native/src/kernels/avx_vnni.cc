// x86-64 with AVX-VNNI (Alder Lake and later): four products a lane, 256 bits.
#include <immintrin.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace avx_vnni {

#include "vector.h"

constexpr int kRows = 4, kParts = 2, kPartsAtOnce = 2;
constexpr int32_t kInputOffset = 0;

using Sum = __m256i;
using Input = __m256i;
using Weight = __m256i;

using Staged = uint8_t;

inline Input broadcast(const Staged* from) {
  int32_t four;
  std::memcpy(&four, from, 4);
  return _mm256_set1_epi32(four);
}
inline Weight load_weights(const int8_t* from, int part) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + part);
}
inline Sum dot(Sum sum, Input input, Weight weight) {
  return _mm256_dpbusd_avx_epi32(sum, input, weight);
}
inline void store_sums(Sum sum, int part, int32_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + part, sum);
}

#include "x86.h"

// CPUID leaf 7, subleaf 1, EAX bit 4: compilers name it differently, or not at all.
bool is_usable() {
  uint32_t a = 7, b, c = 1, d;
  if (!__builtin_cpu_supports("avx2")) return false;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return (a >> 4 & 1) != 0;
}

#include "all.h"

}  // namespace avx_vnni

using namespace avx_vnni;
const Kernels kAvxVnni = EDGEVIT_KERNELS("avx-vnni");

}  // namespace edgevit
