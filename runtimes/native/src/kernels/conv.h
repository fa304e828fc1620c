// Convolutions, and matrix products, which are convolutions of one place: a tile is some rows
// (places of the result) times one panel of 16 outputs.
//
// The inputs of a place are read where they lie: one row of the kernel is one stretch of memory.
// Where the kernel reaches over the border, they are first put together in the staging memory.

// The places of a result in order, and where their windows begin.
struct Places {
  const Conv& op;
  uint32_t y, x;

  Places(const Conv& op, uint32_t place) : op(op), y(place / op.out_width), x(place % op.out_width) {}

  int64_t top() const { return int64_t{y} * op.stride_h - op.pad_h; }
  int64_t left() const { return int64_t{x} * op.stride_w - op.pad_w; }
  bool is_inside() const {
    return top() >= 0 && left() >= 0 && top() + op.kernel_h <= op.height &&
           left() + op.kernel_w <= op.width;
  }
  void next() {
    if (++x == op.out_width) x = 0, ++y;
  }
};

// Copies a window into contiguous memory; `pad` stands for what lies outside.
template <typename T>
inline void gather(const Conv& op, const T* src, const Places& at, T pad, T* to) {
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky)
    for (uint32_t kx = 0; kx < op.kernel_w; ++kx, to += op.channels) {
      const int64_t y = at.top() + ky, x = at.left() + kx;
      if (y >= 0 && y < op.height && x >= 0 && x < op.width)
        std::memcpy(to, src + (y * op.width + x) * op.src_stride, op.channels * sizeof(T));
      else
        std::fill_n(to, op.channels, pad);
    }
}

// Where the windows of a tile's rows lie: the first stretch of each, and the step to the next.
template <typename T, int R>
struct Windows {
  const T* start[R];
  size_t step[R];

  Windows(const Conv& op, const T* src, Places& at, T pad, T* staging) {
    const size_t stretch = size_t{op.kernel_w} * op.channels;
    const bool contiguous = op.kernel_w == 1 || op.src_stride == op.channels;
    for (int r = 0; r < R; ++r, at.next()) {
      if (contiguous && at.is_inside()) {
        start[r] = src + (at.top() * op.width + at.left()) * op.src_stride;
        step[r] = size_t{op.width} * op.src_stride;
      } else {
        T* row = staging + r * stretch * op.kernel_h;
        gather(op, src, at, pad, row);
        start[r] = row;
        step[r] = stretch;
      }
    }
  }
};

// Sums of R rows times a panel: int32 [R][16].
template <int R>
inline void multiply(const Windows<uint8_t, R>& windows, const Conv& op, const int8_t* weights,
                     int32_t* sums) {
  Sum sum[R][kParts] = {};
  const uint8_t* row[R];
  for (int r = 0; r < R; ++r) row[r] = windows.start[r];
  const size_t stretch = size_t{op.kernel_w} * op.channels;
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky) {
    for (size_t c = 0; c < stretch; c += 4, weights += 4 * kPanel) {
      Input input[R];
      for (int r = 0; r < R; ++r) input[r] = broadcast(row[r] + c);
      for (int part = 0; part < kParts; ++part) {
        const Weight weight = load_weights(weights, part);
        for (int r = 0; r < R; ++r) sum[r][part] = dot(sum[r][part], input[r], weight);
      }
    }
    for (int r = 0; r < R; ++r) row[r] += windows.step[r];
  }
  for (int r = 0; r < R; ++r)
    for (int part = 0; part < kParts; ++part) store_sums(sum[r][part], part, sums + r * kPanel);
}

constexpr int kFloatRows = 4;

// The same of floats: float [R][16].
template <int R>
inline void multiply(const Windows<float, R>& windows, const Conv& op, const float* weights,
                     float* sums) {
  constexpr int kVectors = kPanel / kLanes;
  F sum[R][kVectors] = {};
  const float* row[R];
  for (int r = 0; r < R; ++r) row[r] = windows.start[r];
  const size_t stretch = size_t{op.kernel_w} * op.channels;
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky) {
    for (size_t c = 0; c < stretch; ++c, weights += kPanel)
      for (int v = 0; v < kVectors; ++v) {
        const F weight = load<F>(weights + v * kLanes);
        for (int r = 0; r < R; ++r) sum[r][v] += weight * row[r][c];
      }
    for (int r = 0; r < R; ++r) row[r] += windows.step[r];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < kVectors; ++v) store(sums + r * kPanel + v * kLanes, sum[r][v]);
}

// Scales, biases, activation, residual: from the sums of one row and panel to the result.
struct Finish {
  const Call& call;
  const Conv& op;
  const float *scales, *bias, *residual;
  const int32_t* column_sums;

  explicit Finish(const Call& call)
      : call(call),
        op(call.operation->conv),
        scales(call.read<float>(op.scales)),
        bias(call.read<float>(op.bias)),
        residual(call.read<float>(op.residual)),
        column_sums(call.read<int32_t>(op.sums)) {}

  F value(const int32_t* sums, size_t output) const {
    const int32_t offset = kInputOffset - static_cast<int32_t>(op.zero);
    const I whole = load<I>(sums) + load<I>(column_sums + output) * offset;
    return __builtin_convertvector(whole, F) * load<F>(scales + output) + load<F>(bias + output);
  }
  F value(const float* sums, size_t output) const {
    return load<F>(sums) + load<F>(bias + output);
  }

  template <typename T>
  void row(const T* sums, size_t place, size_t panel) const {
    const size_t first = panel * kPanel;
    const Target target(call, op.output, place);
    for (size_t i = 0; i < kPanel && first + i < op.outputs; i += kLanes) {
      const size_t output = first + i;
      const size_t left = op.outputs - output, count = left < kLanes ? left : kLanes;
      F result = activated(value(sums + i, output), op.activation);
      if (residual) result += load_first<F>(residual + place * op.residual_stride + output, count);
      if (count == kLanes)
        target.put(output, result);
      else
        target.put_first(output, result, count);
    }
  }
};

template <typename T, int R, typename W>
inline void tile(const Finish& finish, const T* src, T pad, T* staging, Places& at, uint32_t place,
                 const W* weights, size_t panel) {
  alignas(64) std::conditional_t<std::is_same_v<T, float>, float, int32_t> sums[R * kPanel];
  const Windows<T, R> windows(finish.op, src, at, pad, staging);
  multiply<R>(windows, finish.op, weights, sums);
  for (int r = 0; r < R; ++r) finish.row(sums + r * kPanel, place + r, panel);
}

// The rows that are left over: R - 1 of them, or fewer.
template <typename T, int R, typename W>
inline void last_tile(uint32_t rows, const Finish& finish, const T* src, T pad, T* staging,
                      Places& at, uint32_t place, const W* weights, size_t panel) {
  if constexpr (R > 1) {
    if (rows == R - 1)
      tile<T, R - 1>(finish, src, pad, staging, at, place, weights, panel);
    else
      last_tile<T, R - 1>(rows, finish, src, pad, staging, at, place, weights, panel);
  }
}

template <typename T, int R, typename W>
inline void products(const Call& call, uint32_t part, uint32_t parts) {
  const Finish finish(call);
  const Conv& op = finish.op;
  const uint32_t places = op.out_height * op.out_width;
  const uint32_t panels = (op.outputs + kPanel - 1) / kPanel;
  const size_t inputs = size_t{op.kernel_h} * op.kernel_w * op.channels;
  // Few places are shared out by panels.
  const bool by_place = places >= 4 * R * parts;
  const Share rows(places, by_place ? part : 0, by_place ? parts : 1, R);
  const Share columns(panels, by_place ? 0 : part, by_place ? 1 : parts);
  const T* src = call.read<T>(op.src);
  const T pad = static_cast<T>(std::is_same_v<T, float> ? 0 : op.zero);
  T* staging = reinterpret_cast<T*>(call.staging_of(part));
  for (uint32_t panel = columns.begin; panel < columns.end; ++panel) {
    const W* weights = call.read<W>(op.weights) + panel * inputs * kPanel;
    Places at(op, rows.begin);
    uint32_t place = rows.begin;
    for (; place + R <= rows.end; place += R)
      tile<T, R>(finish, src, pad, staging, at, place, weights, panel);
    last_tile<T, R>(rows.end - place, finish, src, pad, staging, at, place, weights, panel);
  }
}

inline void conv(const Call& call, uint32_t part, uint32_t parts) {
  if (call.operation->conv.is_float)
    products<float, kFloatRows, float>(call, part, parts);
  else
    products<uint8_t, kRows, int8_t>(call, part, parts);
}
