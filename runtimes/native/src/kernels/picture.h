// The picture's bytes through a table: normalised floats, or quantized ones; row by row of the
// picture, or patch by patch.

template <typename T, uint32_t kChannels>
inline void map_pixels(const uint8_t* from, size_t count, const T* table, T fourth, T* to) {
  for (size_t i = 0; i < count; ++i, from += 3, to += kChannels) {
    to[0] = table[from[0]];
    to[1] = table[256 + from[1]];
    to[2] = table[512 + from[2]];
    if (kChannels == 4) to[3] = fourth;
  }
}

template <typename T>
inline void map_rows(const Call& call, uint32_t part, uint32_t parts) {
  const Picture& op = call.operation->picture;
  const T* table = call.read<T>(op.table);
  T fourth;
  std::memcpy(&fourth, &op.fill, sizeof fourth);
  const Share rows(call.height, part, parts);
  const size_t across = call.width / op.patch, stretch = size_t{op.patch} * op.channels;
  // A patch is as high as wide, but where it is the whole width rows simply follow each other.
  const size_t height = across == 1 ? 1 : op.patch;
  for (size_t y = rows.begin; y < rows.end; ++y) {
    const uint8_t* from = call.rgb + y * call.row_bytes;
    T* row = call.write<T>(op.dst) + (y / height * across * height + y % height) * stretch;
    for (size_t patch = 0; patch < across; ++patch, from += size_t{op.patch} * 3, row += height * stretch) {
      if (op.channels == 4)
        map_pixels<T, 4>(from, op.patch, table, fourth, row);
      else
        map_pixels<T, 3>(from, op.patch, table, fourth, row);
    }
  }
}

inline void picture(const Call& call, uint32_t part, uint32_t parts) {
  if (call.operation->picture.is_float)
    map_rows<float>(call, part, parts);
  else
    map_rows<uint8_t>(call, part, parts);
}
