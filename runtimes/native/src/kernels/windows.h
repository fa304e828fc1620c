// The map under the windows of a convolution, in the form that an instruction set multiplies.

// Brings numbers into the form that is multiplied. It works on a register of them at a time and goes on
// beyond the last one: what it writes there is written again by what comes next, or lies in the slack
// at the end; what it reads there is the slack of the arena.
inline void stage(const uint8_t* from, size_t count, Staged* to) {
  constexpr size_t at_once = sizeof(Staged) == 1 ? 4 * kLanes : 16;
  typedef uint8_t From __attribute__((vector_size(at_once)));
  typedef Staged To __attribute__((vector_size(at_once * sizeof(Staged))));
  for (size_t i = 0; i < count; i += at_once)
    store(to + i, __builtin_convertvector(load<From>(from + i) ^ uint8_t{kInputOffset}, To));
}

inline void stage(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

inline float staged(float value) { return value; }
inline Staged staged(uint8_t value) { return static_cast<Staged>(value ^ kInputOffset); }

// Windows of places that follow each other, each `step` after the one before: `rows` stretches of
// numbers, `row_step` apart.
template <typename T>
struct Windows {
  const T* first;
  size_t step, rows, row_step, stretch;
};

// What makes windows of one operation's map; `pad` stands for what lies outside of it.
template <typename T, typename To>
class WindowMaker {
 public:
  WindowMaker(const Conv& op, const T* src, T pad, To* staging)
      : op_(op),
        src_(src),
        pad_(pad),
        staging_(staging),
        is_pointwise_(op.kernel_h * op.kernel_w * op.stride_h * op.stride_w == 1 && op.out_width == op.width) {}

  bool is_pointwise() const { return is_pointwise_; }

  // Places of the result that one row of windows has: all, where a window is a place.
  uint32_t row_places() const { return is_pointwise_ ? op_.out_height * op_.out_width : op_.out_width; }

  // The windows of places [x, x + count) of row y.
  Windows<To> at(uint32_t y, uint32_t x, uint32_t count) const {
    constexpr bool as_they_are =
        std::is_same<T, To>::value && (std::is_same<T, float>::value || kInputOffset == 0);
    const size_t channels = op_.channels, stretch = op_.kernel_w * channels;
    if constexpr (as_they_are)
      if (is_pointwise_) return {src_ + size_t{x} * op_.src_stride, op_.src_stride, 1, 0, stretch};
    const uint32_t columns = (count - 1) * op_.stride_w + op_.kernel_w;
    const int64_t left = int64_t{x} * op_.stride_w - op_.pad_w, top = int64_t{y} * op_.stride_h - op_.pad_h;
    if constexpr (as_they_are)
      if (op_.src_stride == channels && top >= 0 && left >= 0 && top + op_.kernel_h <= op_.height &&
          left + columns <= op_.width)
        return {src_ + (top * op_.width + left) * channels, op_.stride_w * channels, op_.kernel_h,
                op_.width * channels, stretch};
    // Bytes lie in lines of the cache as they do in most maps, so that copies of whole lines are aligned.
    const size_t lead = static_cast<size_t>(left * static_cast<int64_t>(channels)) % kLine;
    const size_t row_step = (columns * channels + kLine - 1) / kLine * kLine + kLine;
    To* const first = staging_ + lead;
    for (uint32_t ky = 0; ky < op_.kernel_h; ++ky) lay_row(top + ky, left, columns, first + ky * row_step);
    return {first, op_.stride_w * channels, op_.kernel_h, row_step, stretch};
  }

 private:
  // Columns [left, left + columns) of row y of the map, or what stands for them.
  void lay_row(int64_t y, int64_t left, uint32_t columns, To* to) const {
    const size_t channels = op_.channels;
    const int64_t width = is_pointwise_ ? int64_t{op_.height} * op_.width : op_.width;
    const int64_t end = left + columns;
    const bool is_inside = y >= 0 && y < op_.height;
    const int64_t first = is_inside ? std::clamp<int64_t>(0, left, end) : end;
    const int64_t last = is_inside ? std::clamp<int64_t>(width, first, end) : end;
    to = pad(to, (first - left) * channels);
    const T* from = src_ + (y * op_.width + first) * op_.src_stride;
    if (op_.src_stride == channels && first < last) {
      stage(from, (last - first) * channels, to);
      to += (last - first) * channels;
    } else {
      for (int64_t x = first; x < last; ++x, from += op_.src_stride, to += channels)
        stage(from, channels, to);
    }
    pad(to, (end - last) * channels);
  }

  To* pad(To* to, size_t count) const { return count ? std::fill_n(to, count, staged(pad_)) : to; }

  const Conv& op_;
  const T* src_;
  const T pad_;
  To* staging_;
  const bool is_pointwise_;
};
