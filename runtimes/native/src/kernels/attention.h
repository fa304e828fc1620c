// softmax(scale * q k^T + mask) v for some heads of few tokens; and its two halves, between which
// scores are seen from outside.
//
// Keys are transposed first, so that one step works on the scores of several tokens, which then
// need not be added up across lanes.

// Scratch: the keys of every head, float [head_width][tokens rounded up to 8]; then one row of
// scores for every part.
template <typename Op>
struct HeadScratch {
  const Op& op;
  float* memory;
  size_t padded;

  HeadScratch(const Call& call, const Op& operation)
      : op(operation), memory(call.write<float>(op.scratch)), padded(padded_tokens(op.tokens)) {}

  float* keys(size_t head) const { return memory + head * op.head_width * padded; }
  float* scores(size_t part) const { return keys(op.heads) + part * padded; }
};

template <typename Op>
inline void transpose_keys(const Call& call, const Op& op, uint32_t part, uint32_t parts) {
  const HeadScratch<Op> scratch(call, op);
  const float* key = call.read<float>(op.key);
  const size_t padded = scratch.padded;
  const Share columns(op.heads * op.head_width, part, parts);
  for (size_t column = columns.begin; column < columns.end; ++column) {
    float* to = scratch.memory + column * padded;
    for (size_t t = 0; t < op.tokens; ++t) to[t] = key[t * op.key_stride + column];
    for (size_t t = op.tokens; t < padded; ++t) to[t] = 0.0f;
  }
}

inline void attention_keys(const Call& call, uint32_t part, uint32_t parts) {
  transpose_keys(call, call.operation->attention, part, parts);
}

inline void scores_keys(const Call& call, uint32_t part, uint32_t parts) {
  transpose_keys(call, call.operation->scores, part, parts);
}

// Products of one query with the keys of kBlocks times 8 tokens: more than one, so that an addition
// need not wait for the one before.
template <int kBlocks>
inline void raw_scores(const float* query, size_t width, const float* keys, size_t padded, float* scores) {
  F8 sum[kBlocks] = {};
  for (size_t d = 0; d < width; ++d)
    for (int i = 0; i < kBlocks; ++i) sum[i] += load<F8>(keys + d * padded + 8 * i) * query[d];
  for (int i = 0; i < kBlocks; ++i) store(scores + 8 * i, sum[i]);
}

// The same with all tokens.
inline void raw_scores(const float* query, size_t width, const float* keys, size_t padded, float* scores) {
  size_t first = 0;
  for (; first + 32 <= padded; first += 32) raw_scores<4>(query, width, keys + first, padded, scores + first);
  for (; first < padded; first += 8) raw_scores<1>(query, width, keys + first, padded, scores + first);
}

// Makes scores to probabilities, by what `score_at` says of eight tokens; gives what they must be
// divided by.
template <typename ScoreAt>
inline float soften(size_t tokens, float* scores, ScoreAt score_at) {
  F8 greatest = fill<F8>(-INFINITY);
  for (size_t t = 0; t < tokens; t += 8) {
    F8 score = score_at(t, tokens - t);
    for (size_t i = tokens - t; i < 8; ++i) score[i] = -INFINITY;
    greatest = greater_of(score, greatest);
    store(scores + t, score);
  }
  const float top = greatest_of(greatest);
  F8 total = {};
  for (size_t t = 0; t < tokens; t += 8) {
    const F8 below = load<F8>(scores + t) - top;
    // Nothing instead of next to nothing: processors are slow with numbers as small as its products.
    F8 value = below < -80.0f ? F8{} : exponential(below);
    for (size_t i = tokens - t; i < 8; ++i) value[i] = 0.0f;
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

// One head's values, by their shares of `total`.
template <typename Op>
inline void put_values(const Call& call, const Op& op, size_t pair, const float* shares, float total) {
  const size_t first = pair % op.heads * op.head_width;
  const float* value = call.read<float>(op.value) + first;
  const Target target = from_column(Destination(call, op.output).row(pair / op.heads), first);
  put_row<F>(target, op.head_width, [&](size_t c, size_t count) {
    F sum = {};
    for (size_t t = 0; t < op.tokens; ++t)
      sum += load_first<F>(value + t * op.value_stride + c, count) * shares[t];
    return sum / total;
  });
}

inline void attend(const Call& call, uint32_t part, uint32_t parts) {
  const Attention& op = call.operation->attention;
  const HeadScratch<Attention> scratch(call, op);
  const float* mask = call.read<float>(op.mask);
  float* row_scores = scratch.scores(part);
  const Share pairs(op.rows * op.heads, part, parts);
  for (uint32_t pair = pairs.begin; pair < pairs.end; ++pair) {
    const size_t row = pair / op.heads, head = pair % op.heads;
    const float* query = call.read<float>(op.query) + row * op.query_stride + head * op.head_width;
    raw_scores(query, op.head_width, scratch.keys(head), scratch.padded, row_scores);
    const float total = soften(op.tokens, row_scores, [&](size_t t, size_t left) {
      F8 score = load<F8>(row_scores + t) * op.scale;
      if (mask) score += load_first<F8>(mask + t, left);
      return score;
    });
    put_values(call, op, pair, row_scores, total);
  }
}

inline void scores(const Call& call, uint32_t part, uint32_t parts) {
  const Scores& op = call.operation->scores;
  const HeadScratch<Scores> scratch(call, op);
  float* row_scores = scratch.scores(part);
  const Share pairs(op.rows * op.heads, part, parts);
  for (uint32_t pair = pairs.begin; pair < pairs.end; ++pair) {
    const size_t row = pair / op.heads, head = pair % op.heads;
    const float* query = call.read<float>(op.query) + row * op.query_stride + head * op.head_width;
    raw_scores(query, op.head_width, scratch.keys(head), scratch.padded, row_scores);
    const Target target = from_column(Destination(call, op.output).row(row), head * op.tokens);
    put_row<F>(target, op.tokens, [&](size_t t, size_t count) {
      return load_first<F>(row_scores + t, count) * op.scale;
    });
  }
}

inline void weighted(const Call& call, uint32_t part, uint32_t parts) {
  const Weighted& op = call.operation->weighted;
  float* shares = call.write<float>(op.scratch) + part * size_t{padded_tokens(op.tokens)};
  const Share pairs(op.rows * op.heads, part, parts);
  for (uint32_t pair = pairs.begin; pair < pairs.end; ++pair) {
    const size_t row = pair / op.heads, head = pair % op.heads;
    const float* from = call.read<float>(op.scores) + row * op.scores_stride + head * op.tokens;
    const float total = soften(op.tokens, shares, [&](size_t t, size_t left) {
      return load_first<F8>(from + t, left);
    });
    put_values(call, op, pair, shares, total);
  }
}
