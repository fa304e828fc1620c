// Quantized depthwise convolutions with AVX-512 VNNI, 64 channels at a time, for the usual 3x3 kernels.
//
// Bytes are mixed within the 128-bit lanes of a register, which takes half as many instructions as
// across them. Sums then have the channels in another order, in which the constants are brought too,
// and packing the results into bytes undoes it.

struct Of64 {
  static constexpr size_t kChannels = 64;
  static void mix(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d, Staged* to) {
    const __m512i rows[4] = {_mm512_loadu_si512(a), _mm512_loadu_si512(b), _mm512_loadu_si512(c),
                             _mm512_loadu_si512(d)};
    const __m512i ab[2] = {_mm512_unpacklo_epi8(rows[0], rows[1]), _mm512_unpackhi_epi8(rows[0], rows[1])};
    const __m512i cd[2] = {_mm512_unpacklo_epi8(rows[2], rows[3]), _mm512_unpackhi_epi8(rows[2], rows[3])};
    for (int half = 0; half < 2; ++half) {
      _mm512_storeu_si512(to + 128 * half, _mm512_unpacklo_epi16(ab[half], cd[half]));
      _mm512_storeu_si512(to + 128 * half + 64, _mm512_unpackhi_epi16(ab[half], cd[half]));
    }
  }
};

// Of four registers with 16 channels each, the first lanes of all, the second ones, and so on.
inline void in_mixed_order(const void* const (&from)[4], __m512i (&to)[4]) {
  __m512i v[4], even[2], odd[2];
  for (int i = 0; i < 4; ++i) v[i] = _mm512_loadu_si512(from[i]);
  for (int i = 0; i < 2; ++i) {
    even[i] = _mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0x88);
    odd[i] = _mm512_shuffle_i32x4(v[2 * i], v[2 * i + 1], 0xDD);
  }
  to[0] = _mm512_shuffle_i32x4(even[0], even[1], 0x88);
  to[1] = _mm512_shuffle_i32x4(odd[0], odd[1], 0x88);
  to[2] = _mm512_shuffle_i32x4(even[0], even[1], 0xDD);
  to[3] = _mm512_shuffle_i32x4(odd[0], odd[1], 0xDD);
}

template <typename T, typename V>
inline void load_mixed(const T* from, V (&to)[4]) {
  __m512i bits[4];
  in_mixed_order({from, from + 16, from + 32, from + 48}, bits);
  for (int i = 0; i < 4; ++i) to[i] = same_bits<V>(bits[i]);
}

constexpr uint32_t kColumns = 3;  // of a kernel whose weights stay in registers

// Constants and results of 64 channels: bytes, without an activation but bounds.
struct Finish64 {
  BytePacking packing;
  __m512i weights[kColumns][4], start[4];
  F scale[4], bias[4];

  // weights: [4][columns][16][4].
  Finish64(const Finish& finish, const int8_t* from, size_t first) {
    packing.fill(finish.destination.quantized);
    I sums[4];
    load_mixed(finish.scales + first, scale);
    load_mixed(finish.bias + first, bias);
    load_mixed(finish.column_sums + first, sums);
    constexpr size_t panel = kColumns * kQuadOfPanel;
    for (uint32_t x = 0; x < kColumns; ++x, from += kQuadOfPanel)
      in_mixed_order({from, from + panel, from + 2 * panel, from + 3 * panel}, weights[x]);
    for (int i = 0; i < 4; ++i) {
      scale[i] *= finish.factor;
      bias[i] *= finish.factor;
      start[i] = same_bits<__m512i>(I(sums[i] * finish.offset));
    }
  }

  void put(const Staged* window, uint8_t* to) const {
    F value[4];
    for (int i = 0; i < 4; ++i) {
      Sum sum = start[i];
      for (uint32_t x = 0; x < kColumns; ++x)
        sum = dot(sum, _mm512_loadu_si512(window + x * Mixed<Of64>::kQuad + i * 64), weights[x][i]);
      value[i] = floats(sum) * scale[i] + bias[i];
    }
    store(to, packing(value[0], value[1], value[2], value[3]));
  }
};

[[gnu::noinline]] void depthwise_64(const Mixed<Of64>& mixed, uint32_t rows, const Finish& finish,
                                    const int8_t* weights, size_t place, size_t first) {
  const Finish64 results(finish, weights, first);
  const size_t step = mixed.op.stride_w * Mixed<Of64>::kQuad, stride = finish.destination.u8_stride;
  uint8_t* to = finish.destination.row(place).u8 + first;
  for (uint32_t y = 0; y < rows; ++y) {
    const Staged* window = mixed.mixed + y * mixed.row_numbers();
    for (uint32_t x = 0; x < mixed.op.out_width; ++x, window += step, to += stride) results.put(window, to);
  }
}

void depthwise_by_64(const Call& call, uint32_t part, uint32_t parts) {
  const Conv& op = call.operation->conv;
  if (op.is_float || op.kernel_w != kColumns || op.kernel_h > 4 || op.channels % Of64::kChannels)
    return depthwise(call, part, parts);
  const Finish finish = depthwise_finish(call);
  if (!finish.gives_only_bytes || !gives_small_values(finish, 0, op.channels)) return depthwise(call, part, parts);
  for_groups<Of64>(call, part, parts,
                   [&](const Mixed<Of64>& mixed, uint32_t rows, const int8_t* weights, size_t place,
                       size_t first) { depthwise_64(mixed, rows, finish, weights, place, first); });
}
static_assert(sizeof(Staged) * Of64::kChannels <= kStagedBytes * kPanel, "what is mixed fits into the staging");
