// x86-64 with AVX-VNNI (Alder Lake and later): four products a lane, 256 bits.
#include <immintrin.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace avx_vnni {

#include "vector.h"

constexpr int kRows = 6, kParts = 2, kPartsAtOnce = 2;
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
inline Sum dot_each(Sum sum, const Staged* inputs, int part, Weight weight) {
  return dot(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(inputs) + part), weight);
}
inline void store_sums(const Sum* sums, int count, int32_t* to) {
  for (int i = 0; i < count; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, sums[i]);
}
inline void store_staged(Staged* to, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}

#include "x86.h"

bool is_usable() { return Cpu().has_avx_vnni(); }

#include "all.h"

}  // namespace avx_vnni

using namespace avx_vnni;
const Kernels kAvxVnni = EDGEVIT_KERNELS("avx-vnni", picture, depthwise, slic);

}  // namespace edgevit
