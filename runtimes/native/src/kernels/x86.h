// What all x86-64 instruction sets from AVX2 on share.

inline I8 dot_pairs(I8 sum, const uint8_t* a, const uint8_t* b, const int8_t* weights) {
  const __m128i first = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a));
  const __m128i second = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b));
  const __m256i inputs = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second));
  const __m256i pairs =
      _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
  return sum + same_bits<I8>(_mm256_madd_epi16(inputs, pairs));
}

inline void store_bytes(uint8_t* to, I8 value) {
  const __m256i v = same_bits<__m256i>(value);
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}

#if EDGEVIT_LANES == 8
inline void store_panel(uint8_t* to, const I (&values)[2]) {
  const __m256i words =
      _mm256_packus_epi32(same_bits<__m256i>(values[0]), same_bits<__m256i>(values[1]));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}
#endif
