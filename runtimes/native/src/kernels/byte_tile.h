// Products whose results are bytes and nothing else, with AVX-512: sums never leave the registers.
//
// A processor multiplies in two of its pipelines and converts in the other two, but it looks ahead too
// little to begin a tile while it still converts the one before. So both are written side by side: the
// first steps of a tile's products alternate with groups of the last tile's results.

// Whether no value of some channels, whole panels of them, is too large for an int32, whatever the sum;
// NaN is.
inline bool gives_small_values(const Finish& finish, size_t first, size_t count) {
  constexpr float greatest_sum = 2147483648.0f;
  const auto magnitude = [&](const float* from) {
    const F x = load<F>(from) * finish.factor;
    return F(x < 0.0f ? -x : x);
  };
  I small = I{} - 1;
  for (size_t i = first; i < first + count; i += kPanel)
    small &= magnitude(finish.scales + i) * greatest_sum + magnitude(finish.bias + i) < greatest_sum;
  return _mm512_movepi8_mask(same_bits<__m512i>(small)) == ~__mmask64{0};
}

inline F floats(Sum sum) { return __builtin_convertvector(same_bits<I>(sum), F); }

// Whole numbers, to the nearest, ties to even; of each 128 bits of `a`, then those of `b`.
inline __m512i words(F a, F b) {
  return _mm512_packs_epi32(_mm512_cvtps_epi32(same_bits<__m512>(a)), _mm512_cvtps_epi32(same_bits<__m512>(b)));
}

// Values as bytes, 64 in the order that packing brings them in. Packing is what bounds them.
struct BytePacking {
  __m512i zero, least;

  void fill(const Quantization& quantized) {
    zero = _mm512_set1_epi16(static_cast<int16_t>(quantized.zero));
    least = _mm512_set1_epi8(static_cast<char>(quantized.least_byte()));
  }
  __m512i operator()(F a, F b, F c, F d) const {
    const __m512i low = _mm512_adds_epi16(words(a, b), zero), high = _mm512_adds_epi16(words(c, d), zero);
    return _mm512_max_epu8(_mm512_packus_epi16(low, high), least);
  }
};

static_assert(kLanes == 16 && kParts == 1 && kInputOffset == 0, "a register holds the sums of a panel");

// How sums of some panels become bytes: they start at what the inputs' zero amounts to, are scaled and
// packed.
template <int kPanels>
struct TileConstants {
  I start[kPanels];
  F scale[kPanels], bias[kPanels];
  BytePacking packing;
  __m512i order;

  void fill(const Finish& finish, size_t first) {
    packing.fill(finish.destination.quantized);
    order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int p = 0; p < kPanels; ++p, first += kPanel) {
      start[p] = load<I>(finish.column_sums + first) * finish.offset;
      scale[p] = load<F>(finish.scales + first) * finish.factor;
      bias[p] = load<F>(finish.bias + first) * finish.factor;
    }
  }

  // The same, but a compiler cannot know it: else it would load the constants before a loop, keep them
  // in registers, and have none left for the sums.
  const TileConstants* hidden() const {
    const TileConstants* same = this;
    __asm__("" : "+r"(same));
    return same;
  }
};

// The sums of R windows times some panels. Loops over them are unrolled, so that a compiler knows which
// one is meant: an array that is indexed otherwise would have to lie in memory.
template <int R, int kPanels>
using TileSums = Sum[R][kPanels];

template <int R, int kPanels, typename Do>
[[gnu::always_inline]] inline void for_sums(Do what) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) what(r, p);
}

// Makes every sum stay in a register of its own: without it GCC copies all of them from register to
// register in every step of the loop that follows.
template <int R, int kPanels>
[[gnu::always_inline]] inline void pin(TileSums<R, kPanels>& sums) {
  for_sums<R, kPanels>([&](int r, int p) { __asm__("" : "+v"(sums[r][p])); });
}

template <int kPanels, int kRowsWanted>
[[gnu::always_inline]] inline void store_rows(__m512i bytes, uint8_t* to, size_t stride) {
  if constexpr (kPanels == 2) {
    store(to, _mm512_castsi512_si256(bytes));
    if constexpr (kRowsWanted > 1) store(to + stride, _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    store(to, _mm512_castsi512_si128(bytes));
    if constexpr (kRowsWanted > 1) store(to + stride, _mm512_extracti32x4_epi32(bytes, 1));
    if constexpr (kRowsWanted > 2) store(to + 2 * stride, _mm512_extracti32x4_epi32(bytes, 2));
    if constexpr (kRowsWanted > 3) store(to + 3 * stride, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

// Stores the results of a group of a tile's rows, whose bytes fill one register.
template <int kGroup, int R, int kPanels>
[[gnu::always_inline]] inline void put_group(const TileSums<R, kPanels>& sums, const TileConstants<kPanels>* constants,
                                             uint8_t* to, size_t stride) {
  constexpr int rows = 4 / kPanels, first = kGroup * rows, last = R - 1, odd = 1 % kPanels;
  static_assert(R <= 3 * rows, "results of a tile are made during three steps of the next one");
  if constexpr (first < R) {
    const TileConstants<kPanels>* c = constants->hidden();
    F v[4] = {floats(sums[first][0]), floats(sums[std::min(first + 1 / kPanels, last)][odd]),
              floats(sums[std::min(first + 2 / kPanels, last)][0]),
              floats(sums[std::min(first + 3 / kPanels, last)][odd])};
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
      const F scale = c->scale[p % kPanels], bias = c->bias[p % kPanels];
      v[p] = v[p] * scale + bias;
      v[p + 2] = v[p + 2] * scale + bias;
    }
    const __m512i bytes = c->packing(v[0], v[1], v[2], v[3]);
    store_rows<kPanels, std::min(rows, R - first)>(_mm512_permutexvar_epi32(c->order, bytes), to + first * stride, stride);
  }
}

// Adds the products of four inputs of every window with two panels.
template <int R>
[[gnu::always_inline]] inline void add_four(const Staged* row, size_t step, const int8_t* weights, size_t panel_bytes,
                                            TileSums<R, 2>& sums) {
  const Weight first = load_weights(weights, 0), second = load_weights(weights + panel_bytes, 0);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Input input = broadcast(row + r * step);
    sums[r][0] = dot(sums[r][0], input, first);
    sums[r][1] = dot(sums[r][1], input, second);
  }
}

// A block's windows and the panels that they are multiplied with.
struct BlockOfBytes {
  const Windows<Staged>& windows;
  size_t inputs;
  const int8_t* weights;
  uint8_t* to;
  size_t stride;
};

// Tiles of R windows, from the block's window `begin` on, times pairs of panels. The first tile comes
// after one of zeros, whose results go where its own will.
template <int R>
[[gnu::noinline]] void put_pairs(const BlockOfBytes& block, uint32_t begin, uint32_t tiles,
                                 const TileConstants<2>* constants, uint32_t pairs) {
  const Windows<Staged> windows = block.windows;
  const size_t step = windows.step, stretch = windows.stretch, panel_bytes = block.inputs * kPanel;
  const size_t stride = block.stride;
  const int8_t* weights = block.weights;
  uint8_t *to = block.to + begin * stride, *to_before = to;
  const TileConstants<2>* before_constants = constants;
  TileSums<R, 2> before;
  for_sums<R, 2>([&](int r, int p) { before[r][p] = _mm512_setzero_si512(); });
  for (uint32_t pair = 0; pair < pairs; ++pair, ++constants, weights += 2 * panel_bytes, to += 2 * kPanel) {
    const Staged* first_row = windows.first + begin * step;
    uint8_t* own_to = to;
    for (uint32_t tile = 0; tile < tiles; ++tile, first_row += R * step) {
      const Staged* row = first_row;
      const int8_t* weight = weights;
      TileSums<R, 2> sums;
      for_sums<R, 2>([&](int r, int p) { sums[r][p] = same_bits<Sum>(constants->start[p]); });
      add_four<R>(row, step, weight, panel_bytes, sums);
      put_group<0, R, 2>(before, before_constants, to_before, stride);
      add_four<R>(row + 4, step, weight + 4 * kPanel, panel_bytes, sums);
      put_group<1, R, 2>(before, before_constants, to_before, stride);
      add_four<R>(row + 8, step, weight + 8 * kPanel, panel_bytes, sums);
      put_group<2, R, 2>(before, before_constants, to_before, stride);
      pin<R, 2>(sums);
      size_t c = 12;
      for (size_t i = 0; i < windows.rows; ++i, row += windows.row_step, weight += stretch * kPanel, c = 0)
#pragma GCC unroll 2
        for (; c < stretch; c += 4) add_four<R>(row + c, step, weight + c * kPanel, panel_bytes, sums);
      pin<R, 2>(sums);
      before_constants = constants, to_before = own_to;
      own_to += R * stride;
      for_sums<R, 2>([&](int r, int p) { before[r][p] = sums[r][p]; });
    }
  }
  put_group<0, R, 2>(before, before_constants, to_before, stride);
  put_group<1, R, 2>(before, before_constants, to_before, stride);
  put_group<2, R, 2>(before, before_constants, to_before, stride);
}

constexpr int kStemRows = 8;

// Adds the products of a row of pixels under kStemRows windows: where those overlap an input is loaded
// once.
[[gnu::always_inline]] inline void add_stem_row(const Staged* row, const Weight* weight, TileSums<kStemRows, 1>& sums) {
#pragma GCC unroll 32
  for (int x = 0; x <= 2 * kStemRows; ++x) {
    const Input input = broadcast(row + 4 * x);
    const int place = x / 2;
    if (x % 2) {
      sums[place][0] = dot(sums[place][0], input, weight[1]);
      continue;
    }
    if (place < kStemRows) sums[place][0] = dot(sums[place][0], input, weight[0]);
    if (place > 0) sums[place - 1][0] = dot(sums[place - 1][0], input, weight[2]);
  }
}

// Windows of 3x3 pixels of four numbers, every second place, times one panel, whose weights fit into
// registers.
[[gnu::noinline]] inline void put_stem(const BlockOfBytes& block, uint32_t tiles, const TileConstants<1>& constants) {
  Weight weight[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) weight[i] = load_weights(block.weights + 64 * i, 0);
  const size_t row_step = block.windows.row_step, stride = block.stride;
  const Staged* row = block.windows.first;
  uint8_t *to = block.to, *to_before = to;
  TileSums<kStemRows, 1> before;
  for_sums<kStemRows, 1>([&](int r, int p) { before[r][p] = _mm512_setzero_si512(); });
  for (uint32_t tile = 0; tile < tiles; ++tile, row += kStemRows * 8) {
    TileSums<kStemRows, 1> sums;
    for_sums<kStemRows, 1>([&](int r, int p) { sums[r][p] = same_bits<Sum>(constants.hidden()->start[p]); });
    add_stem_row(row, weight, sums);
    put_group<0, kStemRows, 1>(before, &constants, to_before, stride);
    add_stem_row(row + row_step, weight + 3, sums);
    put_group<1, kStemRows, 1>(before, &constants, to_before, stride);
    add_stem_row(row + 2 * row_step, weight + 6, sums);
    to_before = to, to += kStemRows * stride;
    for_sums<kStemRows, 1>([&](int r, int p) { before[r][p] = sums[r][p]; });
  }
  put_group<0, kStemRows, 1>(before, &constants, to_before, stride);
  put_group<1, kStemRows, 1>(before, &constants, to_before, stride);
}

// Computes an operation's results by the tiles above, where they are bytes and nothing else; what it
// does not do is left to the common way.
class ByteProduct {
 public:
  ByteProduct(const Finish& finish, size_t inputs) : inputs_(inputs) {
    if (!finish.gives_only_bytes) return;
    if (finish.outputs == kPanel) {
      stem_.fill(finish, 0);
      fits_stem_ = gives_small_values(finish, 0, kPanel);
    }
    const uint32_t pairs = finish.outputs / (2 * kPanel);
    for (; pairs_ < std::min(pairs, kMostPairs); ++pairs_) {
      const size_t first = size_t{pairs_} * 2 * kPanel;
      if (!gives_small_values(finish, first, 2 * kPanel)) return;
      pair_[pairs_].fill(finish, first);
    }
  }

  // The results of `count` windows for the panels of a share; returns how many panels it did.
  uint32_t put(const Windows<Staged>& windows, uint32_t count, const int8_t* weights, const Share& columns,
               const Target& target, size_t stride) const {
    if (columns.begin > 0) return 0;  // few places, shared out by panels: the first part only
    const BlockOfBytes block{windows, inputs_, weights, target.u8, stride};
    const bool has_stem_windows = windows.rows == 3 && windows.stretch == 12 && windows.step == 8 && count % kStemRows == 0;
    if (fits_stem_ && has_stem_windows && columns.end == 1) {
      put_stem(block, count / kStemRows, stem_);
      return 1;
    }
    const uint32_t pairs = std::min(pairs_, columns.end / 2);
    const uint32_t fives = (6 - count % 6) % 6;  // tiles of five windows, and others of six
    if (pairs == 0 || windows.stretch < 12 || count < 5 * fives) return 0;
    const uint32_t sixes = (count - 5 * fives) / 6;
    if (sixes) put_pairs<6>(block, 0, sixes, pair_, pairs);
    if (fives) put_pairs<5>(block, 6 * sixes, fives, pair_, pairs);
    return 2 * pairs;
  }

 private:
  static constexpr uint32_t kMostPairs = 16;

  const size_t inputs_;
  bool fits_stem_ = false;
  uint32_t pairs_ = 0;
  TileConstants<1> stem_;
  TileConstants<2> pair_[kMostPairs];
};
