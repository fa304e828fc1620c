// What works on rows of floats: LayerNorm, elementwise functions, the mean, exchanged rows and columns.

// The sum of what `of` makes of a row's numbers. Four sums of eight lanes, since an addition would wait
// for the one before.
template <typename Of>
inline float sum_of_row(const float* row, size_t count, Of of) {
  F8 sum[4] = {};
  size_t c = 0;
  for (; c + 32 <= count; c += 32)
    for (int i = 0; i < 4; ++i) sum[i] += of(load<F8>(row + c + 8 * i));
  for (; c + 8 <= count; c += 8) sum[0] += of(load<F8>(row + c));
  if (c < count) sum[0] += first_lanes(of(load_first<F8>(row + c, count - c)), count - c, 0.0f);
  return sum_of(F8((sum[0] + sum[1]) + (sum[2] + sum[3])));
}

inline void layer_norm(const Call& call, uint32_t part, uint32_t parts) {
  const LayerNorm& op = call.operation->layer_norm;
  const float *gamma = call.read<float>(op.gamma), *beta = call.read<float>(op.beta);
  const float width = static_cast<float>(op.channels);
  const Share rows(op.rows, part, parts);
  for (uint32_t row = rows.begin; row < rows.end; ++row) {
    const float* src = call.read<float>(op.src) + size_t{row} * op.src_stride;
    const float mean = sum_of_row(src, op.channels, [](F8 value) { return value; }) / width;
    const float squares = sum_of_row(src, op.channels, [mean](F8 value) {
      const F8 centred = value - mean;
      return F8(centred * centred);
    });
    const float scale = 1.0f / std::sqrt(squares / width + op.epsilon);
    put_row<F>(Destination(call, op.output).row(row), op.channels, [&](size_t c, size_t count) {
      F value = (load_first<F>(src + c, count) - mean) * scale;
      if (gamma) value *= load_first<F>(gamma + c, count);
      if (beta) value += load_first<F>(beta + c, count);
      return value;
    });
  }
}

inline F unary_value(Unary function, F x) {
  switch (function) {
    case Unary::relu: return greater_of(x, fill<F>(0.0f));
    case Unary::gelu: return gelu(x);
    case Unary::hard_swish: return x * hard_sigmoid(x);
    case Unary::sine: return sine(x);
    case Unary::hard_sigmoid: return hard_sigmoid(x);
    case Unary::square_root: return square_root(x);
    case Unary::exponential: return exponential(x);
    case Unary::erf: return error_function(x);
    case Unary::copy: break;
  }
  return x;
}

inline void unary(const Call& call, uint32_t part, uint32_t parts) {
  const UnaryOp& op = call.operation->unary;
  const Share rows(op.rows, part, parts);
  for (uint32_t row = rows.begin; row < rows.end; ++row) {
    const float* src = call.read<float>(op.src) + size_t{row} * op.src_stride;
    put_row<F>(Destination(call, op.output).row(row), op.columns, [&](size_t c, size_t count) {
      return unary_value(static_cast<Unary>(op.function), load_first<F>(src + c, count));
    });
  }
}

inline F binary_value(Binary function, F a, F b) {
  switch (function) {
    case Binary::add: return a + b;
    case Binary::subtract: return a - b;
    case Binary::multiply: return a * b;
    case Binary::divide: break;
  }
  return a / b;
}

inline void binary(const Call& call, uint32_t part, uint32_t parts) {
  const BinaryOp& op = call.operation->binary;
  const Share rows(op.rows, part, parts);
  for (uint32_t row = rows.begin; row < rows.end; ++row) {
    const float* a = call.read<float>(op.a) + size_t{row} * op.a_row_stride;
    const float* b = call.read<float>(op.b) + size_t{row} * op.b_row_stride;
    put_row<F>(Destination(call, op.output).row(row), op.columns, [&](size_t c, size_t count) {
      const F x = op.a_column_stride ? load_first<F>(a + c, count) : fill<F>(*a);
      const F y = op.b_column_stride ? load_first<F>(b + c, count) : fill<F>(*b);
      return binary_value(static_cast<Binary>(op.function), x, y);
    });
  }
}

inline void mean(const Call& call, uint32_t part, uint32_t) {
  if (part != 0) return;
  const Mean& op = call.operation->mean;
  const float* src = call.read<float>(op.src);
  const float rows = static_cast<float>(op.rows);
  put_row<F>(Destination(call, op.output).row(0), op.columns, [&](size_t c, size_t count) {
    F sum = {};
    for (size_t row = 0; row < op.rows; ++row)
      sum += load_first<F>(src + row * op.src_stride + c, count);
    return sum / rows;
  });
}

// Neighbouring rows of the result read neighbouring columns, which share lines of the cache.
inline void transpose(const Call& call, uint32_t part, uint32_t parts) {
  const Transpose& op = call.operation->transpose;
  const size_t stride = op.src_stride;
  const Share results(op.batches * op.columns, part, parts);
  for (uint32_t result = results.begin; result < results.end; ++result) {
    const size_t batch = result / op.columns, column = result % op.columns;
    const float* src = call.read<float>(op.src) + batch * op.batch_stride + column;
    put_row<F>(Destination(call, op.output).row(result), op.rows, [&](size_t row, size_t count) {
      float values[kLanes];
      for (size_t i = 0; i < count; ++i) values[i] = src[(row + i) * stride];
      return load_first<F>(values, count);
    });
  }
}
