// What all x86-64 instruction sets from AVX2 on share.

// Bits of CPUID leaf 7, and which registers the system saves. Asked here: what compilers offer for
// it (__builtin_cpu_supports) finds nothing in a library that Zig compiled.
struct Cpu {
  uint32_t ebx = 0, ecx = 0, eax1 = 0, saved = 0;

  Cpu() {
    uint32_t a, b, c, d;
    ask(0, 0, a, b, c, d);
    const uint32_t most = a;
    ask(1, 0, a, b, c, d);
    const bool saves = (c >> 27 & 1) != 0;  // OSXSAVE
    if (most < 7 || !saves) return;
    uint32_t high;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    ask(7, 0, a, ebx, ecx, d);
    if (a >= 1) ask(7, 1, eax1, b, c, d);
  }
  static void ask(uint32_t leaf, uint32_t sub, uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d) {
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
  }
  bool has_avx2() const { return (saved & 0x6) == 0x6 && (ebx >> 5 & 1); }
  bool has_avx_vnni() const { return has_avx2() && (eax1 >> 4 & 1); }
  bool has_avx512_vnni() const {  // F, BW, VL, VNNI, and all of their registers saved
    return has_avx2() && (saved & 0xE6) == 0xE6 && (ebx >> 16 & 1) && (ebx >> 30 & 1) &&
           (ebx >> 31 & 1) && (ecx >> 11 & 1);
  }
  bool has_avx512_vbmi() const { return has_avx512_vnni() && (ecx >> 1 & 1); }
};

inline __m128i load_16(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

inline void store_bytes(uint8_t* to, I8 value) {
  const __m256i v = same_bits<__m256i>(value);
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}

#if EDGEVIT_LANES == 8
inline bool any_of(I mask) { return _mm256_movemask_ps(same_bits<__m256>(mask)) != 0; }

// Four rows of 16 bytes become 16 columns of four.
inline void mix_four(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, Staged* to) {
  const __m128i rows[4] = {load_16(a), load_16(b), load_16(c), load_16(d)};
  const __m128i ab[2] = {_mm_unpacklo_epi8(rows[0], rows[1]), _mm_unpackhi_epi8(rows[0], rows[1])};
  const __m128i cd[2] = {_mm_unpacklo_epi8(rows[2], rows[3]), _mm_unpackhi_epi8(rows[2], rows[3])};
  for (int half = 0; half < 2; ++half, to += 32) {
    store_staged(to, _mm_unpacklo_epi16(ab[half], cd[half]));
    store_staged(to + 16, _mm_unpackhi_epi16(ab[half], cd[half]));
  }
}

inline void store_panel(uint8_t* to, const I (&values)[2]) {
  const __m256i words =
      _mm256_packus_epi32(same_bits<__m256i>(values[0]), same_bits<__m256i>(values[1]));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}
#endif
