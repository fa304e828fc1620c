// Depthwise convolutions: every channel by itself, some of them at a time.

// Where the taps of one window lie; `outside` is a place of padding.
template <typename T>
inline void find_taps(const Conv& op, const T* src, const Places& at, const T* outside,
                      const T** taps) {
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky)
    for (uint32_t kx = 0; kx < op.kernel_w; ++kx) {
      const int64_t y = at.top() + ky, x = at.left() + kx;
      const bool inside = y >= 0 && y < op.height && x >= 0 && x < op.width;
      *taps++ = inside ? src + (y * op.width + x) * op.src_stride : outside;
    }
}

constexpr uint32_t kMostTaps = 256;

inline void depthwise_bytes(const Finish& finish, const uint8_t* const* taps, uint32_t pairs,
                            uint32_t place, const int8_t* weights) {
  const Conv& op = finish.op;
  const Target target(finish.call, op.output, place);
  const int32_t zero = static_cast<int32_t>(op.zero);
  for (uint32_t c = 0; c < op.channels; c += 8) {
    I8 sum = {};
    for (uint32_t pair = 0; pair < pairs; ++pair)
      sum = dot_pairs(sum, taps[2 * pair] + c, taps[2 * pair + 1] + c,
                      weights + (size_t{pair} * op.channels + c) * 2);
    sum -= load<I8>(finish.column_sums + c) * zero;
    const F8 scaled = __builtin_convertvector(sum, F8) * load<F8>(finish.scales + c);
    target.put(c, activated(scaled + load<F8>(finish.bias + c), op.activation));
  }
}

inline void depthwise_floats(const Finish& finish, const float* const* taps, uint32_t count,
                             uint32_t place, const float* weights) {
  const Conv& op = finish.op;
  const Target target(finish.call, op.output, place);
  put_row<F>(target, op.channels, [&](size_t c, size_t lanes) {
    F sum = {};
    for (uint32_t tap = 0; tap < count; ++tap) {
      const F weight = load_first<F>(weights + size_t{tap} * op.channels + c, lanes);
      sum += load_first<F>(taps[tap] + c, lanes) * weight;
    }
    return activated(F(sum + load_first<F>(finish.bias + c, lanes)), op.activation);
  });
}

inline void depthwise(const Call& call, uint32_t part, uint32_t parts) {
  const Finish finish(call);
  const Conv& op = finish.op;
  const Share places(op.out_height * op.out_width, part, parts);
  const uint32_t taps = op.kernel_h * op.kernel_w;
  Places at(op, places.begin);
  if (op.is_float) {
    float* outside = reinterpret_cast<float*>(call.staging_of(part));
    std::fill_n(outside, op.channels, 0.0f);
    const float* found[kMostTaps];
    for (uint32_t place = places.begin; place < places.end; ++place, at.next()) {
      find_taps(op, call.read<float>(op.src), at, outside, found);
      depthwise_floats(finish, found, taps, place, call.read<float>(op.weights));
    }
    return;
  }
  uint8_t* outside = call.staging_of(part);
  std::memset(outside, static_cast<int>(op.zero), op.channels);
  const uint8_t* found[kMostTaps + 1];
  for (uint32_t place = places.begin; place < places.end; ++place, at.next()) {
    find_taps(op, call.read<uint8_t>(op.src), at, outside, found);
    found[taps] = outside;  // the second of an odd last pair; its weight is 0
    depthwise_bytes(finish, found, (taps + 1) / 2, place, call.read<int8_t>(op.weights));
  }
}
