// The windows of a convolution, laid side by side in the form that an instruction set multiplies.

// Brings numbers into the form that is multiplied. It works on 16 at a time and goes on beyond the
// last one: what it writes there belongs to the next window, which comes after, or to the slack at
// the end; what it reads there is the slack of the arena.
inline void stage(const uint8_t* from, size_t count, Staged* to) {
  typedef uint8_t From __attribute__((vector_size(16)));
  typedef Staged To __attribute__((vector_size(16 * sizeof(Staged))));
  for (size_t i = 0; i < count; i += 16)
    store(to + i, __builtin_convertvector(load<From>(from + i) ^ uint8_t{kInputOffset}, To));
}

inline void stage(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

inline float staged(float value) { return value; }
inline Staged staged(uint8_t value) { return static_cast<Staged>(value ^ kInputOffset); }

// Whether numbers are multiplied as they lie in memory.
template <typename T, typename To>
constexpr bool kAsTheyAre = std::is_same<T, To>::value &&
                            (std::is_same<T, float>::value || kInputOffset == 0);

// Windows over one operation's map; `pad` stands for what lies outside of it.
template <typename T, typename To>
struct Windows {
  const Conv& op;
  const T* src;
  const T pad;
  const size_t stretch, size;  // of a window's row, and of a window
  // The columns of the result whose windows lie inside the map's width: [first_inside, end_inside)
  const uint32_t first_inside, end_inside;

  Windows(const Conv& op, const T* src, T pad)
      : op(op),
        src(src),
        pad(pad),
        stretch(size_t{op.kernel_w} * op.channels),
        size(op.kernel_h * stretch),
        first_inside((op.pad_w + op.stride_w - 1) / op.stride_w),
        end_inside(op.width + op.pad_w >= op.kernel_w ? (op.width + op.pad_w - op.kernel_w) / op.stride_w + 1
                                                      : 0) {}

  // Whether places are windows already, `op.src_stride` apart.
  bool are_places() const {
    return kAsTheyAre<T, To> && op.kernel_h * op.kernel_w == 1 && op.stride_h * op.stride_w == 1;
  }

  // Lays the windows of `count` places from `place` on side by side.
  void lay(uint32_t place, uint32_t count, To* to) const {
    for (const uint32_t end = place + count; place < end;) {
      const uint32_t y = place / op.out_width, x = place % op.out_width;
      const uint32_t run = std::min(end - place, op.out_width - x);
      lay_row(y, x, x + run, to);
      place += run;
      to += run * size;
    }
  }

 private:
  // The windows of one row of the result, columns [x, end).
  void lay_row(uint32_t y, uint32_t x, uint32_t end, To* to) const {
    const int64_t top = int64_t{y} * op.stride_h - op.pad_h;
    const bool is_whole = op.kernel_w == 1 || op.src_stride == op.channels;  // its rows are stretches
    const bool inside = is_whole && top >= 0 && top + op.kernel_h <= op.height;
    const uint32_t first = inside ? std::clamp(first_inside, x, end) : end;
    const uint32_t last = inside ? std::clamp(end_inside, first, end) : end;
    for (; x < first; ++x, to += size) lay_edge(top, x, to);
    if (x < last) lay_inside(top, x, last - x, to);
    to += (last - x) * size;
    for (x = last; x < end; ++x, to += size) lay_edge(top, x, to);
  }

  // Windows that lie inside the map. Numbers are copied out first: what is laid could be any of them,
  // for all that a compiler knows.
  void lay_inside(int64_t top, uint32_t x, uint32_t count, To* to) const {
    const size_t row = size_t{op.width} * op.src_stride, step = size_t{op.stride_w} * op.src_stride;
    const size_t length = stretch, height = op.kernel_h;
    const T* from = src + (top * op.width + int64_t{x} * op.stride_w - op.pad_w) * op.src_stride;
    for (; count > 0; --count, from += step)
      for (size_t ky = 0; ky < height; ++ky, to += length) stage(from + ky * row, length, to);
  }

  void lay_edge(int64_t top, uint32_t column, To* to) const {
    const int64_t left = int64_t{column} * op.stride_w - op.pad_w;
    for (uint32_t ky = 0; ky < op.kernel_h; ++ky)
      for (uint32_t kx = 0; kx < op.kernel_w; ++kx, to += op.channels) {
        const int64_t y = top + ky, x = left + kx;
        if (y >= 0 && y < op.height && x >= 0 && x < op.width)
          stage(src + (y * op.width + x) * op.src_stride, op.channels, to);
        else
          std::fill_n(to, op.channels, staged(pad));
      }
  }
};
