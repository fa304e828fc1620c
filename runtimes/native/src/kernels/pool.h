// Superpixel pooling: the mean of the patches of every superpixel, and where it lies.

// Scratch: how many cells of every patch a superpixel has, float [K][patches].
inline void count_overlaps(const SlicShape& shape, const uint8_t* assignment, float* overlap) {
  const size_t pairs = size_t{shape.superpixels()} * shape.patches();
  const uint32_t per_patch = shape.patch_cells();
  for (size_t i = 0; i < pairs; ++i, assignment += per_patch) {
    uint32_t sum = 0;
    for (uint32_t c = 0; c < per_patch; ++c) sum += assignment[c];
    overlap[i] = static_cast<float>(sum);
  }
}

// (y, x) of a superpixel's middle, in patches from the middle of the picture.
inline void find_centroid(const SlicShape& shape, const uint8_t* assignment, const float* overlap,
                          float* centroid) {
  const uint32_t side = shape.patch_side(), per_patch = shape.patch_cells();
  const double middle = (shape.side() - 1) / 2.0;
  int64_t y = 0, x = 0, cells = 0;  // whole numbers: exact in any order
  for (uint32_t p = 0; p < shape.patches(); ++p, assignment += per_patch) {
    if (overlap[p] == 0.0f) continue;
    const int64_t in_patch = static_cast<int64_t>(overlap[p]);
    y += in_patch * (p / shape.patches_per_side() * side);
    x += in_patch * (p % shape.patches_per_side() * side);
    cells += in_patch;
    for (uint32_t c = 0; c < per_patch; ++c)
      if (assignment[c]) y += c / side, x += c % side;
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
  for (size_t p = 0; p < patches; ++p) {
    size_t owner = 0;
    for (size_t k = 1; k < count; ++k)
      if (overlap[k * patches + p] > overlap[owner * patches + p]) owner = k;
    for (size_t k = 0; k < count; ++k) overlap[k * patches + p] = k == owner ? 1.0f : 0.0f;
  }
}

inline void pool_means(const Call& call, const Pool& op, const float* membership) {
  const size_t patches = op.shape.patches();
  const float* src = call.read<float>(op.src);
  float* occupied = call.write<float>(op.occupied);
  for (size_t k = 0; k < op.shape.superpixels(); ++k, membership += patches) {
    float* mean = call.write<float>(op.means) + k * op.channels;
    std::fill_n(mean, op.channels, 0.0f);
    float members = 0;
    for (size_t p = 0; p < patches; ++p) {
      if (membership[p] == 0.0f) continue;
      members += membership[p];
      const float* value = src + p * op.src_stride;
      for (size_t c = 0; c < op.channels; ++c) mean[c] += membership[p] * value[c];
    }
    if (occupied) occupied[k] = members > 0 ? 1.0f : 0.0f;
    for (size_t c = 0; c < op.channels; ++c) mean[c] /= members > 0 ? members : 1.0f;
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
