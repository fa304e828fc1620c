// x86-64 with AVX2: products of 16-bit numbers, which cannot saturate.
#include <immintrin.h>

#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace avx2 {

#include "vector.h"

constexpr int kRows = 6, kParts = 4, kPartsAtOnce = 2;
constexpr int32_t kInputOffset = 0;

// A part holds 4 outputs, each as two halves of its sum.
using Sum = __m256i;
using Input = __m256i;
using Weight = __m256i;

using Staged = int16_t;

inline Input broadcast(const Staged* from) {
  int64_t four;
  std::memcpy(&four, from, sizeof four);
  return _mm256_set1_epi64x(four);
}
inline Weight load_weights(const int8_t* from, int part) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + part));
}
inline Sum dot(Sum sum, Input input, Weight weight) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(input, weight));
}
inline Sum dot_each(Sum sum, const Staged* inputs, int part, Weight weight) {
  return dot(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(inputs) + part), weight);
}
inline void store_sums(const Sum* sums, int count, int32_t* to) {
  for (int i = 0; i < count; i += 2, to += 8) {
    const __m256i eight = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[i], sums[i + 1]), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), eight);
  }
}
inline void store_staged(Staged* to, __m128i bytes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepu8_epi16(bytes));
}

#include "x86.h"

bool is_usable() { return Cpu().has_avx2(); }

#include "all.h"

}  // namespace avx2

using namespace avx2;
const Kernels kAvx2 = EDGEVIT_KERNELS("avx2", picture, depthwise, slic);

}  // namespace edgevit
