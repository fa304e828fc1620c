// Superpixel pooling: the mean of the patches of every superpixel, and where it lies.

// The sum of some bytes of 0 or 1, eight at a time.
inline uint32_t sum_of_bytes(const uint8_t* bytes, uint32_t count) {
  uint32_t sum = 0, i = 0;
  for (; i + 8 <= count; i += 8)
    sum += static_cast<uint32_t>(load<uint64_t>(bytes + i) * 0x0101010101010101u >> 56);
  for (; i < count; ++i) sum += bytes[i];
  return sum;
}

// Scratch: how many cells of every patch a superpixel has, float [K][patches].
inline void count_overlaps(const SlicShape& shape, const uint8_t* assignment, float* overlap) {
  const size_t pairs = size_t{shape.superpixels()} * shape.patches();
  const uint32_t per_patch = shape.patch_cells();
  for (size_t i = 0; i < pairs; ++i, assignment += per_patch)
    overlap[i] = static_cast<float>(sum_of_bytes(assignment, per_patch));
}

// Adds the rows and columns, in a patch, of those of its cells that belong.
inline void add_places(const uint8_t* cells, uint32_t side, int64_t& y, int64_t& x) {
  uint32_t rows = 0, columns = 0;
  for (uint32_t row = 0; row < side; ++row)
    for (uint32_t column = 0; column < side; ++column, ++cells)
      rows += *cells * row, columns += *cells * column;
  y += rows, x += columns;
}

// (y, x) of a superpixel's middle, in patches from the middle of the picture.
inline void find_centroid(const SlicShape& shape, const uint8_t* assignment, const float* overlap,
                          float* centroid) {
  const uint32_t side = shape.patch_side(), per_patch = shape.patch_cells(), across = shape.patches_per_side();
  const double middle = (shape.side() - 1) / 2.0;
  const int64_t of_whole = int64_t{per_patch} * (side - 1) / 2;  // rows or columns of all cells of a patch
  int64_t y = 0, x = 0, cells = 0;  // whole numbers: exact in any order
  for (uint32_t row = 0; row < across; ++row)
    for (uint32_t column = 0; column < across; ++column, ++overlap, assignment += per_patch) {
      const int64_t in_patch = static_cast<int64_t>(*overlap);
      if (in_patch == 0) continue;
      y += in_patch * row * side;
      x += in_patch * column * side;
      cells += in_patch;
      if (in_patch == per_patch)
        y += of_whole, x += of_whole;
      else
        add_places(assignment, side, y, x);
    }
  const float divisor = static_cast<float>(cells > 1 ? cells : 1);
  const double all = static_cast<double>(cells);
  centroid[0] = static_cast<float>((static_cast<double>(y) - all * middle) / side) / divisor;
  centroid[1] = static_cast<float>((static_cast<double>(x) - all * middle) / side) / divisor;
}

// Overlaps become memberships: the share of the patch, or 1 for the superpixel with most of it.
inline void decide_members(const Pool& op, float* overlap) {
  const size_t count = op.shape.superpixels(), patches = op.shape.patches();
  if (op.soft) {
    const float per_patch = static_cast<float>(op.shape.patch_cells());
    for (size_t i = 0; i < count * patches; ++i) overlap[i] /= per_patch;
    return;
  }
  for (size_t p = 0; p < patches; p += kLanes) {
    const size_t left = patches - p;
    F most = load_first<F>(overlap + p, left);
    I owner = {};
    for (size_t k = 1; k < count; ++k) {
      const F cells = load_first<F>(overlap + k * patches + p, left);
      owner = cells > most ? I{} + static_cast<int32_t>(k) : owner;
      most = greater_of(cells, most);
    }
    for (size_t k = 0; k < count; ++k) {
      const F is_member = owner == static_cast<int32_t>(k) ? fill<F>(1.0f) : F{};
      put_floats(overlap + k * patches + p, is_member, left);
    }
  }
}

inline void pool_means(const Call& call, const Pool& op, const float* membership) {
  const size_t patches = op.shape.patches(), channels = op.channels;
  const float* src = call.read<float>(op.src);
  float* occupied = call.write<float>(op.occupied);
  for (size_t k = 0; k < op.shape.superpixels(); ++k, membership += patches) {
    float* __restrict mean = call.write<float>(op.means) + k * channels;
    std::fill_n(mean, channels, 0.0f);
    float members = 0;
    for (size_t p = 0; p < patches; ++p) {
      const float share = membership[p];
      if (share == 0.0f) continue;
      members += share;
      const float* __restrict value = src + p * op.src_stride;
      for (size_t c = 0; c < channels; ++c) mean[c] += share * value[c];
    }
    if (occupied) occupied[k] = members > 0 ? 1.0f : 0.0f;
    const float divisor = members > 0 ? members : 1.0f;
    for (size_t c = 0; c < channels; ++c) mean[c] /= divisor;
  }
}

inline void pool(const Call& call, uint32_t part, uint32_t) {
  if (part != 0) return;
  const Pool& op = call.operation->pool;
  const uint8_t* assignment = call.read<uint8_t>(op.assignment);
  float* overlap = call.write<float>(op.scratch);
  float* centroids = call.write<float>(op.centroids);
  count_overlaps(op.shape, assignment, overlap);
  for (size_t k = 0; centroids && k < op.shape.superpixels(); ++k)
    find_centroid(op.shape, assignment + k * op.shape.cells(), overlap + k * op.shape.patches(),
                  centroids + 2 * k);
  decide_members(op, overlap);
  pool_means(call, op, overlap);
}
