// The picture's bytes through a table: normalised floats, or quantized ones; row by row of the
// picture, or patch by patch.

// Pixels of three or four channels, one byte after the other.
template <typename T, uint32_t kChannels>
struct Channelwise {
  const T* table;
  T fourth;

  void operator()(const uint8_t* from, size_t count, T* to) const {
    for (size_t i = 0; i < count; ++i, from += 3, to += kChannels) {
      to[0] = table[from[0]];
      to[1] = table[256 + from[1]];
      to[2] = table[512 + from[2]];
      if (kChannels == 4) to[3] = fourth;
    }
  }
};

// `map(from, count, to)` works on a row of a patch.
template <typename T, typename Map>
inline void map_rows(const Call& call, uint32_t part, uint32_t parts, const Map& map) {
  const Picture& op = call.operation->picture;
  const Share rows(call.height, part, parts);
  const size_t across = call.width / op.patch, stretch = size_t{op.patch} * op.channels;
  // A patch is as high as wide, but where it is the whole width rows simply follow each other.
  const size_t height = across == 1 ? 1 : op.patch;
  for (size_t y = rows.begin; y < rows.end; ++y) {
    const uint8_t* from = call.rgb + y * call.row_bytes;
    T* row = call.write<T>(op.dst) + (y / height * across * height + y % height) * stretch;
    for (size_t patch = 0; patch < across; ++patch, from += size_t{op.patch} * 3, row += height * stretch)
      map(from, op.patch, row);
  }
}

inline void picture(const Call& call, uint32_t part, uint32_t parts) {
  const Picture& op = call.operation->picture;
  const float* floats = call.read<float>(op.table);
  const uint8_t* bytes = call.read<uint8_t>(op.table);
  if (op.is_float && op.channels == 4)
    map_rows<float>(call, part, parts, Channelwise<float, 4>{floats, same_bits<float>(op.fill)});
  else if (op.is_float)
    map_rows<float>(call, part, parts, Channelwise<float, 3>{floats, 0.0f});
  else if (op.channels == 4)
    map_rows<uint8_t>(call, part, parts, Channelwise<uint8_t, 4>{bytes, static_cast<uint8_t>(op.fill)});
  else
    map_rows<uint8_t>(call, part, parts, Channelwise<uint8_t, 3>{bytes, 0});
}
