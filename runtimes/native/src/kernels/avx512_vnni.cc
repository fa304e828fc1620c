// x86-64 with AVX-512 VNNI (Cascade Lake, Zen 4 and later): four products a lane, 512 bits.
#include <immintrin.h>

#include "headers.h"

#define EDGEVIT_LANES 16

namespace edgevit {
namespace avx512_vnni {

#include "vector.h"

constexpr int kRows = 12, kParts = 1, kPartsAtOnce = 2;
constexpr int32_t kInputOffset = 0;

using Sum = __m512i;
using Input = __m512i;
using Weight = __m512i;

using Staged = uint8_t;

inline Input broadcast(const Staged* from) {
  int32_t four;
  std::memcpy(&four, from, 4);
  return _mm512_set1_epi32(four);
}
inline Weight load_weights(const int8_t* from, int) { return _mm512_loadu_si512(from); }
inline Sum dot(Sum sum, Input input, Weight weight) {
  return _mm512_dpbusd_epi32(sum, input, weight);
}
inline Sum dot_each(Sum sum, const Staged* inputs, int, Weight weight) {
  return dot(sum, _mm512_loadu_si512(inputs), weight);
}
inline void store_sums(Sum sum, int, int32_t* to) { _mm512_storeu_si512(to, sum); }
inline void store_staged(Staged* to, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}

#include "x86.h"

inline void store_bytes(uint8_t* to, I value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(same_bits<__m512i>(value)));
}

inline void store_panel(uint8_t* to, const I (&values)[1]) { store_bytes(to, values[0]); }

bool is_usable() { return Cpu().has_avx512_vnni(); }

#include "all.h"

}  // namespace avx512_vnni

using namespace avx512_vnni;
const Kernels kAvx512Vnni = EDGEVIT_KERNELS("avx512-vnni");

}  // namespace edgevit
