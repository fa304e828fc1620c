// softmax(scale * q k^T + mask) v for some heads of few tokens.
//
// Keys are transposed first, so that one step works on the scores of several tokens, which then
// need not be added up across lanes.

// Scratch: the keys of every head, float [head_width][tokens rounded up to 8]; then one row of
// scores for every part.
struct AttentionScratch {
  const Attention& op;
  float* memory;

  explicit AttentionScratch(const Call& call)
      : op(call.operation->attention), memory(call.write<float>(op.scratch)) {}

  float* keys(size_t head) const { return memory + head * op.head_width * op.padded_tokens(); }
  float* scores(size_t part) const { return keys(op.heads) + part * op.padded_tokens(); }
};

inline void transpose_keys(const Call& call, uint32_t part, uint32_t parts) {
  const AttentionScratch scratch(call);
  const Attention& op = scratch.op;
  const float* key = call.read<float>(op.key);
  const size_t padded = op.padded_tokens();
  const Share columns(op.heads * op.head_width, part, parts);
  for (size_t column = columns.begin; column < columns.end; ++column) {
    float* to = scratch.memory + column * padded;
    for (size_t t = 0; t < op.tokens; ++t) to[t] = key[t * op.key_stride + column];
    for (size_t t = op.tokens; t < padded; ++t) to[t] = 0.0f;
  }
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

// Scores of one query with all tokens, made to probabilities; gives what they must be divided by.
inline float soft_scores(const Attention& op, const float* query, const float* keys,
                         const float* mask, float* scores) {
  const size_t padded = op.padded_tokens(), width = op.head_width;
  size_t first = 0;
  for (; first + 32 <= padded; first += 32) raw_scores<4>(query, width, keys + first, padded, scores + first);
  for (; first < padded; first += 8) raw_scores<1>(query, width, keys + first, padded, scores + first);
  F8 greatest = fill<F8>(-INFINITY);
  for (size_t t = 0; t < padded; t += 8) {
    F8 sum = load<F8>(scores + t) * op.scale;
    if (mask) sum += load_first<F8>(mask + t, op.tokens - t);
    for (size_t i = op.tokens > t ? op.tokens - t : 0; i < 8; ++i) sum[i] = -INFINITY;
    greatest = greater_of(sum, greatest);
    store(scores + t, sum);
  }
  const float top = greatest_of(greatest);
  F8 total = {};
  for (size_t t = 0; t < padded; t += 8) {
    const F8 below = load<F8>(scores + t) - top;
    // Nothing instead of next to nothing: processors are slow with numbers as small as its products.
    F8 value = below < -80.0f ? F8{} : exponential(below);
    for (size_t i = op.tokens > t ? op.tokens - t : 0; i < 8; ++i) value[i] = 0.0f;
    total += value;
    store(scores + t, value);
  }
  return sum_of(total);
}

inline void attend(const Call& call, uint32_t part, uint32_t parts) {
  const AttentionScratch scratch(call);
  const Attention& op = scratch.op;
  float* scores = scratch.scores(part);
  const Share pairs(op.rows * op.heads, part, parts);
  for (uint32_t pair = pairs.begin; pair < pairs.end; ++pair) {
    const size_t row = pair / op.heads, head = pair % op.heads, first = head * op.head_width;
    const float* query = call.read<float>(op.query) + row * op.query_stride + first;
    const float* value = call.read<float>(op.value) + first;
    const float total = soft_scores(op, query, scratch.keys(head), call.read<float>(op.mask), scores);
    Target target = Destination(call, op.output).row(row);
    if (target.f32) target.f32 += first;
    if (target.u8) target.u8 += first;
    put_row<F>(target, op.head_width, [&](size_t c, size_t count) {
      F sum = {};
      for (size_t t = 0; t < op.tokens; ++t)
        sum += load_first<F>(value + t * op.value_stride + c, count) * scores[t];
      return sum / total;
    });
  }
}
