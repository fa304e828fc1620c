// softmax(scale * q k^T + mask) v for some heads of few tokens; and its two halves, between which
// scores are seen from outside.
//
// Keys are transposed first, so that one step works on the scores of several tokens, which then
// need not be added up across lanes. Some queries of a head are handled together: an addition then
// need not wait for the one before.

constexpr uint32_t kQueries = 4;

// Of kMaxParts rows, those of a part.
inline float* rows_of_part(float* rows, size_t padded, uint32_t part, uint32_t parts) {
  return rows + part * (kMaxParts / parts) * padded;
}

// Scratch: the keys of every head, float [head_width][tokens rounded up to 8]; then kMaxParts rows of
// scores, which the parts share.
template <typename Op>
struct HeadScratch {
  const Op& op;
  float* memory;
  size_t padded;

  HeadScratch(const Call& call, const Op& operation)
      : op(operation), memory(call.write<float>(op.scratch)), padded(padded_tokens(op.tokens)) {}

  float* keys(size_t head) const { return memory + head * op.head_width * padded; }
  float* scores(uint32_t part, uint32_t parts) const {
    return rows_of_part(keys(op.heads), padded, part, parts);
  }
};

// Four rows of four become four columns.
inline void transpose_4x4(const float* from, size_t from_stride, float* to, size_t to_stride) {
  F4 row[4];
  for (int i = 0; i < 4; ++i) row[i] = load<F4>(from + i * from_stride);
#if defined(__clang__) || __GNUC__ >= 12
  const F4 a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5), b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  const F4 c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7), d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  store(to, F4(__builtin_shufflevector(a, b, 0, 1, 4, 5)));
  store(to + to_stride, F4(__builtin_shufflevector(a, b, 2, 3, 6, 7)));
  store(to + 2 * to_stride, F4(__builtin_shufflevector(c, d, 0, 1, 4, 5)));
  store(to + 3 * to_stride, F4(__builtin_shufflevector(c, d, 2, 3, 6, 7)));
#else
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) to[i * to_stride + j] = row[j][i];
#endif
}

// Calls `work(head, row, count)` for the queries of a part: kQueries of them, or one.
template <typename Work>
inline void for_queries(uint32_t heads, uint32_t rows, uint32_t part, uint32_t parts, Work work) {
  const bool have_room = kMaxParts / parts >= kQueries;
  const Share pairs(heads * rows, part, parts);
  for (uint32_t pair = pairs.begin; pair < pairs.end;) {
    const uint32_t row = pair % rows, left = std::min(rows - row, pairs.end - pair);
    const uint32_t count = have_room && left >= kQueries ? kQueries : 1;
    work(pair / rows, row, count);
    pair += count;
  }
}

// Rows [first, tokens) of a column of keys, and zeros up to `padded`.
inline void transpose_column(const float* key, size_t stride, size_t first, size_t tokens, size_t padded, float* to) {
  for (size_t t = first; t < tokens; ++t) to[t] = key[t * stride];
  for (size_t t = tokens; t < padded; ++t) to[t] = 0.0f;
}

template <typename Op>
inline void transpose_keys(const Call& call, const Op& op, uint32_t part, uint32_t parts) {
  const HeadScratch<Op> scratch(call, op);
  const float* key = call.read<float>(op.key);
  const size_t padded = scratch.padded;
  const Share columns(op.heads * op.head_width, part, parts);
  size_t column = columns.begin;
  for (; column + 4 <= columns.end; column += 4) {
    float* to = scratch.memory + column * padded;
    size_t t = 0;
    for (; t + 4 <= op.tokens; t += 4) transpose_4x4(key + t * op.key_stride + column, op.key_stride, to + t, padded);
    for (size_t i = 0; i < 4; ++i) transpose_column(key + column + i, op.key_stride, t, op.tokens, padded, to + i * padded);
  }
  for (; column < columns.end; ++column)
    transpose_column(key + column, op.key_stride, 0, op.tokens, padded, scratch.memory + column * padded);
}

inline void attention_keys(const Call& call, uint32_t part, uint32_t parts) {
  transpose_keys(call, call.operation->attention, part, parts);
}

inline void scores_keys(const Call& call, uint32_t part, uint32_t parts) {
  transpose_keys(call, call.operation->scores, part, parts);
}

// Products of kRows queries with the keys of some tokens, kVectors at a time.
template <typename V, int kVectors, int kRows>
inline void raw_scores(const float* query, size_t stride, size_t width, const float* keys, size_t padded,
                       float* scores) {
  V sum[kRows][kVectors] = {};
  for (size_t d = 0; d < width; ++d, keys += padded)
    for (int v = 0; v < kVectors; ++v) {
      const V key = load<V>(keys + v * kLanesOf<V>);
      for (int r = 0; r < kRows; ++r) sum[r][v] += key * query[r * stride + d];
    }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store(scores + r * padded + v * kLanesOf<V>, sum[r][v]);
}

// The same with all tokens: float [kRows][padded].
template <int kRows>
inline void raw_scores(const float* query, size_t stride, size_t width, const float* keys, size_t padded,
                       float* scores) {
  size_t t = 0;
  for (; t + 2 * kLanes <= padded; t += 2 * kLanes)
    raw_scores<F, 2, kRows>(query, stride, width, keys + t, padded, scores + t);
  for (; t + kLanes <= padded; t += kLanes)
    raw_scores<F, 1, kRows>(query, stride, width, keys + t, padded, scores + t);
  for (; t < padded; t += 8) raw_scores<F8, 1, kRows>(query, stride, width, keys + t, padded, scores + t);
}

template <typename Op>
inline void raw_scores(const Call& call, const HeadScratch<Op>& scratch, uint32_t head, uint32_t row,
                       uint32_t count, float* scores) {
  const Op& op = scratch.op;
  const float* query = call.read<float>(op.query) + row * size_t{op.query_stride} + head * op.head_width;
  const float* keys = scratch.keys(head);
  if (count == kQueries)
    raw_scores<kQueries>(query, op.query_stride, op.head_width, keys, scratch.padded, scores);
  else
    raw_scores<1>(query, op.query_stride, op.head_width, keys, scratch.padded, scores);
}

// e^(score - top), a register at a time. Nothing instead of next to nothing: processors are slow with
// numbers as small as its products.
template <typename V>
inline void exponentials(float* scores, size_t& t, size_t padded, float top) {
  for (; t + kLanesOf<V> <= padded; t += kLanesOf<V>) {
    const V below = load<V>(scores + t) - top;
    store(scores + t, V(below < -80.0f ? V{} : exponential(below)));
  }
}

// Softmax of the scores that `score_at` gives, eight tokens at a time; what it writes must still be
// divided by the sum that it returns.
template <typename ScoreAt>
inline float softmax(size_t tokens, float* scores, ScoreAt score_at) {
  const size_t padded = padded_tokens(static_cast<uint32_t>(tokens));
  F8 greatest = fill<F8>(-INFINITY);
  for (size_t t = 0; t < tokens; t += 8) {
    const F8 score = first_lanes(score_at(t, tokens - t), tokens - t, -INFINITY);
    greatest = greater_of(score, greatest);
    store(scores + t, score);
  }
  const float top = greatest_of(greatest);
  size_t done = 0;
  exponentials<F>(scores, done, padded, top);
  exponentials<F8>(scores, done, padded, top);
  F8 total = {};
  for (size_t t = 0; t < tokens; t += 8) {
    const F8 value = first_lanes(load<F8>(scores + t), tokens - t, 0.0f);
    total += value;
    store(scores + t, value);
  }
  return sum_of(total);
}

// A part of a row of a result.
inline Target from_column(Target target, size_t column) {
  if (target.f32) target.f32 += column;
  if (target.u8) target.u8 += column;
  return target;
}

// One head's values, weighted by the softmax whose sums are `totals`, for kRows queries.
template <int kRows, typename Op>
inline void put_values(const Call& call, const Op& op, uint32_t head, uint32_t row, const float* weights,
                       const float* totals) {
  const size_t first = head * op.head_width, width = op.head_width, padded = padded_tokens(op.tokens);
  const float* value = call.read<float>(op.value) + first;
  const Destination to(call, op.output);
  for (size_t c = 0; c < width; c += kLanes) {
    const size_t count = std::min<size_t>(width - c, kLanes);
    F sum[kRows] = {};
    for (size_t t = 0; t < op.tokens; ++t) {
      const F values = load_first<F>(value + t * op.value_stride + c, count);
      for (int r = 0; r < kRows; ++r) sum[r] += values * weights[r * padded + t];
    }
    for (int r = 0; r < kRows; ++r) to.row(row + r).put_first(first + c, F(sum[r] / totals[r]), count);
  }
}

template <typename Op>
inline void put_values(const Call& call, const Op& op, uint32_t head, uint32_t row, uint32_t count,
                       const float* weights, const float* totals) {
  if (count == kQueries)
    put_values<kQueries>(call, op, head, row, weights, totals);
  else
    put_values<1>(call, op, head, row, weights, totals);
}

inline void attend(const Call& call, uint32_t part, uint32_t parts) {
  const Attention& op = call.operation->attention;
  const HeadScratch<Attention> scratch(call, op);
  const float* mask = call.read<float>(op.mask);
  float* all_scores = scratch.scores(part, parts);
  for_queries(op.heads, op.rows, part, parts, [&](uint32_t head, uint32_t row, uint32_t count) {
    raw_scores(call, scratch, head, row, count, all_scores);
    float totals[kQueries];
    for (uint32_t r = 0; r < count; ++r) {
      float* row_scores = all_scores + r * scratch.padded;
      totals[r] = softmax(op.tokens, row_scores, [&](size_t t, size_t left) {
        F8 score = load<F8>(row_scores + t) * op.scale;
        if (mask) score += load_first<F8>(mask + t, left);
        return score;
      });
    }
    put_values(call, op, head, row, count, all_scores, totals);
  });
}

inline void scores(const Call& call, uint32_t part, uint32_t parts) {
  const Scores& op = call.operation->scores;
  const HeadScratch<Scores> scratch(call, op);
  float* all_scores = scratch.scores(part, parts);
  for_queries(op.heads, op.rows, part, parts, [&](uint32_t head, uint32_t row, uint32_t count) {
    raw_scores(call, scratch, head, row, count, all_scores);
    for (uint32_t r = 0; r < count; ++r) {
      const Target target = from_column(Destination(call, op.output).row(row + r), head * op.tokens);
      put_row<F>(target, op.tokens, [&](size_t t, size_t lanes) {
        return load_first<F>(all_scores + r * scratch.padded + t, lanes) * op.scale;
      });
    }
  });
}

inline void weighted(const Call& call, uint32_t part, uint32_t parts) {
  const Weighted& op = call.operation->weighted;
  const size_t padded = padded_tokens(op.tokens);
  float* weights = rows_of_part(call.write<float>(op.scratch), padded, part, parts);
  for_queries(op.heads, op.rows, part, parts, [&](uint32_t head, uint32_t row, uint32_t count) {
    float totals[kQueries];
    for (uint32_t r = 0; r < count; ++r) {
      const float* from = call.read<float>(op.scores) + (row + r) * size_t{op.scores_stride} + head * op.tokens;
      totals[r] = softmax(op.tokens, weights + r * padded, [&](size_t t, size_t left) {
        return load_first<F8>(from + t, left);
      });
    }
    put_values(call, op, head, row, count, weights, totals);
  });
}
