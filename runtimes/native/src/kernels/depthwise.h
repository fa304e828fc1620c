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

// Channels come by 16 here, and results are bytes only.
inline void depthwise_panels(const ByteFinish& finish, const uint8_t* const* taps,
                             uint32_t channels, uint32_t pairs, uint32_t place,
                             const int8_t* weights) {
  uint8_t* row = finish.row(place);
  for (uint32_t c = 0; c < channels; c += kPanel) {
    I8 low = {}, high = {};
    for (uint32_t pair = 0; pair < pairs; ++pair) {
      const uint8_t *first = taps[2 * pair] + c, *second = taps[2 * pair + 1] + c;
      const int8_t* of_pair = weights + (size_t{pair} * channels + c) * 2;
      low = dot_pairs(low, first, second, of_pair);
      high = dot_pairs(high, first + 8, second + 8, of_pair + 16);
    }
    int32_t sums[kPanel];
    store(sums, low);
    store(sums + 8, high);
    finish.panel(sums, c, row);
  }
}

inline void depthwise_bytes(const Finish& finish, const uint8_t* const* taps, uint32_t channels,
                            uint32_t pairs, uint32_t place, const int8_t* weights) {
  const Target target = finish.destination.row(place);
  for (uint32_t c = 0; c < channels; c += 8) {
    I8 sum = {};
    for (uint32_t pair = 0; pair < pairs; ++pair)
      sum = dot_pairs(sum, taps[2 * pair] + c, taps[2 * pair + 1] + c,
                      weights + (size_t{pair} * channels + c) * 2);
    target.put(c, activated(finish.value<F8>(sum, c), finish.activation));
  }
}

inline void depthwise_floats(const Finish& finish, const float* const* taps, uint32_t channels,
                             uint32_t count, uint32_t place, const float* weights) {
  put_row<F>(finish.destination.row(place), channels, [&](size_t c, size_t lanes) {
    F sum = {};
    for (uint32_t tap = 0; tap < count; ++tap) {
      const F weight = load_first<F>(weights + size_t{tap} * channels + c, lanes);
      sum += load_first<F>(taps[tap] + c, lanes) * weight;
    }
    return activated(F(sum + load_first<F>(finish.bias + c, lanes)), finish.activation);
  });
}

inline void depthwise(const Call& call, uint32_t part, uint32_t parts) {
  Finish finish(call);
  const Conv& op = call.operation->conv;
  finish.offset = -static_cast<int32_t>(op.zero);  // bytes are taken as they are
  const Share places(op.out_height * op.out_width, part, parts);
  const uint32_t taps = op.kernel_h * op.kernel_w;
  Places at(op, places.begin);
  if (op.is_float) {
    float* outside = reinterpret_cast<float*>(call.staging_of(part));
    std::fill_n(outside, op.channels, 0.0f);
    const float* found[kMostTaps];
    for (uint32_t place = places.begin; place < places.end; ++place, at.next()) {
      find_taps(op, call.read<float>(op.src), at, outside, found);
      depthwise_floats(finish, found, op.channels, taps, place, call.read<float>(op.weights));
    }
    return;
  }
  uint8_t* outside = call.staging_of(part);
  std::memset(outside, static_cast<int>(op.zero), op.channels);
  const uint8_t* found[kMostTaps + 1];
  const ByteFinish bytes(finish);
  const bool by_panel = ByteFinish::fits(finish) && op.channels % kPanel == 0;
  const uint32_t pairs = (taps + 1) / 2;
  const int8_t* weights = call.read<int8_t>(op.weights);
  for (uint32_t place = places.begin; place < places.end; ++place, at.next()) {
    find_taps(op, call.read<uint8_t>(op.src), at, outside, found);
    found[taps] = outside;  // the second of an odd last pair; its weight is 0
    if (by_panel)
      depthwise_panels(bytes, found, op.channels, pairs, place, weights);
    else
      depthwise_bytes(finish, found, op.channels, pairs, place, weights);
  }
}
