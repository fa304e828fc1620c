// Superpixel pooling: the mean of the patches of every superpixel, and where it lies.

// The sum of some bytes of 0 or 1.
template <uint32_t kCount>
inline uint32_t sum_of_bytes(const uint8_t* bytes, uint32_t count) {
  if constexpr (kCount == 16) {
    const uint64_t pairs = load<uint64_t>(bytes) + load<uint64_t>(bytes + 8);
    return static_cast<uint32_t>(pairs * 0x0101010101010101u >> 56);
  }
  uint32_t sum = 0, i = 0;
  for (; i + 8 <= count; i += 8)
    sum += static_cast<uint32_t>(load<uint64_t>(bytes + i) * 0x0101010101010101u >> 56);
  for (; i < count; ++i) sum += bytes[i];
  return sum;
}

// Scratch: how many cells of every patch a superpixel has, float [K][patches]; kCells of a patch, or 0
// where their number is not known when this is compiled.
template <uint32_t kCells>
inline void count_overlaps(const SlicShape& shape, const uint8_t* assignment, float* overlap) {
  const size_t pairs = size_t{shape.superpixels()} * shape.patches();
  const uint32_t per_patch = kCells ? kCells : shape.patch_cells();
  for (size_t i = 0; i < pairs; ++i, assignment += per_patch)
    overlap[i] = static_cast<float>(sum_of_bytes<kCells>(assignment, per_patch));
}

// The numbers in [begin, end) that are not zero, by their place; none is negative.
inline size_t find_nonzero(const float* numbers, size_t begin, size_t end, uint32_t (&places)[kSearched]) {
  return find_wanted(begin, end, places, [&](size_t i) { return load<uint32_t>(numbers + i) != 0; });
}

// Adds the rows and columns, in a patch, of those of its cells that belong.
[[gnu::always_inline]] inline void add_places(const uint8_t* cells, uint32_t side, int64_t& y, int64_t& x) {
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
  const uint32_t patches = across * across;
  for (uint32_t first = 0; first < patches; first += kSearched) {
    uint32_t touched[kSearched];
    const size_t found = find_nonzero(overlap, first, std::min<size_t>(patches, first + kSearched), touched);
    for (size_t i = 0; i < found; ++i) {
      const uint32_t p = touched[i], row = p / across, column = p % across;
      const int64_t in_patch = static_cast<int64_t>(overlap[p]);
      y += in_patch * row * side;
      x += in_patch * column * side;
      cells += in_patch;
      if (in_patch == per_patch)
        y += of_whole, x += of_whole;
      else if (side == 4)  // as it mostly is: what the compiler knows it need not loop over
        add_places(assignment + size_t{p} * per_patch, 4, y, x);
      else
        add_places(assignment + size_t{p} * per_patch, side, y, x);
    }
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

// Adds the values of the patches [first, end) that belong; returns how many, as the sum of their shares.
inline float add_members(const Call& call, const Pool& op, const float* membership, size_t first, size_t end,
                         float* mean) {
  const float* src = call.read<float>(op.src);
  uint32_t member[kSearched];
  const size_t found = find_nonzero(membership, first, end, member);
  for (size_t i = 0; i < found; ++i) {
    const float share = membership[member[i]], *value = src + member[i] * op.src_stride;
    for (size_t c = 0; c < op.channels; c += kLanes) {
      const size_t count = std::min<size_t>(op.channels - c, kLanes);
      put_floats(mean + c, load_first<F>(mean + c, count) + share * load_first<F>(value + c, count), count);
    }
  }
  float members = 0;
  for (size_t i = 0; i < found; ++i) members += membership[member[i]];
  return members;
}

inline void pool_means(const Call& call, const Pool& op, const float* membership) {
  const size_t patches = op.shape.patches(), channels = op.channels;
  float* occupied = call.write<float>(op.occupied);
  for (size_t k = 0; k < op.shape.superpixels(); ++k, membership += patches) {
    float* __restrict mean = call.write<float>(op.means) + k * channels;
    std::fill_n(mean, channels, 0.0f);
    float members = 0;
    for (size_t first = 0; first < patches; first += kSearched)
      members += add_members(call, op, membership, first, std::min(patches, first + kSearched), mean);
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
  const auto count = op.shape.patch_cells() == 16 ? count_overlaps<16> : count_overlaps<0>;
  count(op.shape, assignment, overlap);
  for (size_t k = 0; centroids && k < op.shape.superpixels(); ++k)
    find_centroid(op.shape, assignment + k * op.shape.cells(), overlap + k * op.shape.patches(),
                  centroids + 2 * k);
  decide_members(op, overlap);
  pool_means(call, op, overlap);
}
