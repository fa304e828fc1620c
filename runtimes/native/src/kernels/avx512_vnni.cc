// x86-64 with AVX-512 VNNI (Cascade Lake, Zen 4 and later): four products a lane, 512 bits.
#include <immintrin.h>

#include "headers.h"

#define EDGEVIT_LANES 16
#define EDGEVIT_BYTE_TILES 1

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
inline void store_sums(const Sum* sums, int, int32_t* to) { _mm512_storeu_si512(to, *sums); }

#include "x86.h"

inline void store_bytes(uint8_t* to, I value) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(same_bits<__m512i>(value)));
}

inline bool any_of(I mask) {
  return _mm512_test_epi32_mask(same_bits<__m512i>(mask), same_bits<__m512i>(mask)) != 0;
}

// Four rows of 16 bytes become 16 columns of four.
inline void mix_four(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, Staged* to) {
  const __m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(a)), load_16(b), 1);
  const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(c)), load_16(d), 1);
  const __m512i rows = _mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1);
  const __m512i fours = _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), rows);
  const __m512i turned = _mm512_broadcast_i32x4(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  _mm512_storeu_si512(to, _mm512_shuffle_epi8(fours, turned));
}

inline void store_panel(uint8_t* to, const I (&values)[1]) { store_bytes(to, values[0]); }

bool is_usable() { return Cpu().has_avx512_vnni(); }

#include "all.h"

// Bytes looked up 64 at a time: for processors that have VBMI too (Ice Lake, Zen 4 and later).
struct PermutedBytes {
  const uint8_t* table;
  uint8_t fourth;

  [[gnu::target("avx512vbmi")]] void operator()(const uint8_t* from, size_t count, uint8_t* to) const {
    __m512i tables[3][4];
    for (int i = 0; i < 12; ++i) tables[i / 4][i % 4] = _mm512_loadu_si512(table + 64 * i);
    const __m512i three_to_four = _mm512_add_epi32(  // bytes 3 p, 3 p + 1, 3 p + 2, 3 p + 3 of pixel p
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32(0x03030303)),
        _mm512_set1_epi32(0x03020100));
    for (size_t i = 0; i < count; i += 16, from += 48, to += 64) {
      const size_t pixels = std::min<size_t>(count - i, 16);
      const __m512i rgb = _mm512_maskz_loadu_epi8((__mmask64{1} << 3 * pixels) - 1, from);
      const __m512i index = _mm512_permutexvar_epi8(three_to_four, rgb);
      const __mmask64 is_high = _mm512_movepi8_mask(index);
      __m512i pixel = _mm512_set1_epi8(static_cast<char>(fourth));
      for (int c = 0; c < 3; ++c) {
        const __m512i low = _mm512_permutex2var_epi8(tables[c][0], index, tables[c][1]);
        const __m512i high = _mm512_permutex2var_epi8(tables[c][2], index, tables[c][3]);
        const __m512i value = _mm512_mask_blend_epi8(is_high, low, high);
        pixel = _mm512_mask_blend_epi8(__mmask64{0x1111111111111111} << c, pixel, value);
      }
      _mm512_mask_storeu_epi8(to, ~__mmask64{0} >> (64 - 4 * pixels), pixel);
    }
  }
};

void picture_by_permutation(const Call& call, uint32_t part, uint32_t parts) {
  static const bool has_vbmi = Cpu().has_avx512_vbmi();
  const Picture& op = call.operation->picture;
  if (!has_vbmi || op.is_float || op.channels != 4) return picture(call, part, parts);
  const PermutedBytes map{call.read<uint8_t>(op.table), static_cast<uint8_t>(op.fill)};
  map_rows<uint8_t>(call, part, parts, map);
}

// Sums of cells of 4x4 pixels, four in a row of a patch: 48 bytes, of which those of one cell and one
// colour are brought side by side.
[[gnu::target("avx512vbmi")]] void pixel_sums_of_4x4(const Call& call, const SlicShape& shape, float* const* rgb) {
  alignas(64) uint8_t places[64] = {};
  for (int colour = 0; colour < 3; ++colour)
    for (int cell = 0; cell < 4; ++cell)
      for (int x = 0; x < 4; ++x) places[16 * colour + 4 * cell + x] = static_cast<uint8_t>(3 * (4 * cell + x) + colour);
  const __m512i order = _mm512_load_si512(places), ones = _mm512_set1_epi8(1);
  for (uint32_t row = 0; row < shape.side(); ++row) {
    const uint8_t* pixels = call.rgb + size_t{row} * 4 * call.row_bytes;
    size_t cell = size_t{row / 4} * shape.patches_per_side() * 16 + row % 4 * 4;
    for (uint32_t patch = 0; patch < shape.patches_per_side(); ++patch, pixels += 48, cell += 16) {
      __m512i sums = _mm512_setzero_si512();
      for (int y = 0; y < 4; ++y) {
        __builtin_prefetch(pixels + (y + 8) * call.row_bytes);
        const __m512i bytes = _mm512_maskz_loadu_epi8((__mmask64{1} << 48) - 1, pixels + y * call.row_bytes);
        sums = _mm512_dpbusd_epi32(sums, _mm512_permutexvar_epi8(order, bytes), ones);
      }
      const __m512 floats = _mm512_cvtepi32_ps(sums);
      _mm_storeu_ps(rgb[0] + cell, _mm512_castps512_ps128(floats));
      _mm_storeu_ps(rgb[1] + cell, _mm512_extractf32x4_ps(floats, 1));
      _mm_storeu_ps(rgb[2] + cell, _mm512_extractf32x4_ps(floats, 2));
    }
  }
}

void slic_by_permutation(const Call& call, uint32_t part, uint32_t) {
  static const bool has_vbmi = Cpu().has_avx512_vbmi();
  const SlicShape& shape = call.operation->slic.shape;
  const bool is_4x4 = has_vbmi && shape.cell_px == 4 && shape.patch_px == 16;
  if (part == 0) slic(call, is_4x4 ? pixel_sums_of_4x4 : pixel_sums);
}

#include "depthwise_64.h"

}  // namespace avx512_vnni

using namespace avx512_vnni;
const Kernels kAvx512Vnni = EDGEVIT_KERNELS("avx512-vnni", picture_by_permutation, depthwise_by_64, slic_by_permutation);

}  // namespace edgevit
