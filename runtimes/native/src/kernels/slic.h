// SLIC on cells, in whole numbers: the bits of edgevit/zoo/slic.py's meaning, whatever the processor.
//
// Every sum is of whole numbers below 2^24, which float32 holds exactly; what works on one element
// is written in the same order of operations as the model's own graph.

constexpr int kFeatures = 5;         // L*, a*, b*, y, x
constexpr int kSums = kFeatures + 1;  // and half the number of cells
constexpr uint32_t kBlock = 8;        // cells that are handled together

// Features of cells (or of coarse ones), one array each, padded with cells of no weight.
struct Cells {
  uint32_t count = 0, padded = 0;
  float* feature[kFeatures];
  float* half;

  float* place_in(float* memory, uint32_t cells) {
    count = cells;
    padded = (cells + kBlock - 1) / kBlock * kBlock;
    for (float*& values : feature) values = memory, memory += padded;
    half = memory;
    return memory + padded;
  }
  void set_weights(float weight) {
    for (uint32_t i = 0; i < padded; ++i) half[i] = i < count ? weight : 0.0f;
    for (float* values : feature) std::fill(values + count, values + padded, 0.0f);
  }
};

struct SlicMemory {
  Cells fine, coarse;
  float *sums, *centres, *planes, *distances, *lanes;

  SlicMemory(const Slic& op, float* memory) {
    const size_t count = op.shape.superpixels();
    memory = fine.place_in(memory, op.shape.cells());
    memory = coarse.place_in(memory, op.coarse_iterations ? op.shape.cells() / 4 : 0);
    sums = memory;
    centres = sums + count * kSums;
    planes = centres + count * kFeatures;
    distances = planes + count * kSums;
    lanes = distances + count * kBlock;  // [count][kSums][kBlock]
  }
};

template <typename V>
inline V floored(V x) {  // of |x| < 2^22
  const V near = rounded(x);
  return near > x ? near - 1.0f : near;
}

inline F8 floor_of_cubic(F8 x, const float* c) {
  return floored(((x * c[3] + c[2]) * x + c[1]) * x + c[0]);
}

// Sums of the pixels of every cell, cells patch by patch.
inline void pixel_sums(const Call& call, const SlicShape& shape, float* const* rgb) {
  const uint32_t side = shape.patch_side(), cell = shape.cell_px;
  size_t out = 0;
  for (uint32_t patch = 0; patch < shape.patches(); ++patch) {
    const size_t top = patch / shape.patches_per_side() * shape.patch_px;
    const size_t left = patch % shape.patches_per_side() * shape.patch_px;
    for (uint32_t inside = 0; inside < shape.patch_cells(); ++inside, ++out) {
      uint32_t sum[3] = {};
      for (uint32_t y = 0; y < cell; ++y) {
        const uint8_t* pixel = call.rgb + (top + inside / side * cell + y) * call.row_bytes +
                               (left + inside % side * cell) * 3;
        for (uint32_t x = 0; x < cell; ++x, pixel += 3)
          for (int c = 0; c < 3; ++c) sum[c] += pixel[c];
      }
      for (int c = 0; c < 3; ++c) rgb[c][out] = static_cast<float>(sum[c]);
    }
  }
}

// CIELAB colour and place of every cell.
inline void cell_features(const Call& call, const Slic& op, Cells& cells) {
  const SlicTables& tables = *call.slic;
  constexpr float to_lab = 4.0f / 2048.0f;
  cells.set_weights(0.5f);
  std::copy(tables.place_y.begin(), tables.place_y.end(), cells.feature[3]);
  std::copy(tables.place_x.begin(), tables.place_x.end(), cells.feature[4]);
  pixel_sums(call, op.shape, cells.feature);  // where their colours will be
  for (uint32_t i = 0; i < cells.padded; i += kBlock) {
    F8 light[3], f[3];
    for (int c = 0; c < 3; ++c) light[c] = floor_of_cubic(load<F8>(cells.feature[c] + i), tables.light);
    constexpr float xyz[3][3] = {{445, 385, 194}, {218, 732, 74}, {18, 112, 894}};
    for (int c = 0; c < 3; ++c) {
      const F8 sum = xyz[c][0] * light[0] + xyz[c][1] * light[1] + xyz[c][2] * light[2];
      f[c] = floor_of_cubic(square_root(square_root(sum)), tables.f);
    }
    store(cells.feature[0] + i, floored(116 * to_lab * f[1]));
    store(cells.feature[1] + i, floored(500 * to_lab * f[0] - 500 * to_lab * f[1]));
    store(cells.feature[2] + i, floored(200 * to_lab * f[1] - 200 * to_lab * f[2]));
  }
  for (float* values : cells.feature) std::fill(values + cells.count, values + cells.padded, 0.0f);
}

// Sums of 2x2 cells.
inline void coarsen(const SlicShape& shape, const Cells& fine, Cells& coarse) {
  const uint32_t side = shape.patch_side(), rows = shape.patches() * side;
  coarse.set_weights(2.0f);
  for (int j = 0; j < kFeatures; ++j) {
    const float* from = fine.feature[j];
    float* to = coarse.feature[j];
    for (uint32_t y = 0; y < rows; y += 2, from += 2 * side)
      for (uint32_t x = 0; x < side; x += 2)
        *to++ = from[x] + from[x + 1] + from[side + x] + from[side + x + 1];
  }
}

inline void seed_sums(const Cells& cells, const std::vector<uint32_t>& seed, float* sums, size_t count) {
  std::fill_n(sums, count * kSums, 0.0f);
  for (uint32_t i = 0; i < cells.count; ++i) {
    float* sum = sums + seed[i] * kSums;
    for (int j = 0; j < kFeatures; ++j) sum[j] += cells.feature[j][i];
    sum[kFeatures] += cells.half[i];
  }
}

// Centres in half the features' unit, and the planes -2 c.f + |c|^2 / 2 over the features.
inline void move_centres(const Slic& op, SlicMemory& memory, bool relax) {
  for (size_t k = 0; k < op.shape.superpixels(); ++k) {
    const float* sum = memory.sums + k * kSums;
    float *centre = memory.centres + k * kFeatures, *plane = memory.planes + k * kSums;
    float squares = 0;
    for (int j = 0; j < kFeatures; ++j) {
      const float cells = sum[kFeatures] > 0.5f ? sum[kFeatures] : 0.5f;
      float to = std::floor((sum[j] + 0.25f) / cells);
      if (relax) to = std::floor(to * op.relaxation - centre[j] * (op.relaxation - 1));
      centre[j] = to;
      squares += to * to;
      plane[j] = -2 * to;
    }
    plane[kFeatures] = squares;
  }
}

// Distances of a block of cells to every centre; gives the least of each.
inline F8 block_distances(const SlicMemory& memory, const Cells& cells, uint32_t start, size_t count) {
  F8 feature[kFeatures], nearest = fill<F8>(INFINITY);
  for (int j = 0; j < kFeatures; ++j) feature[j] = load<F8>(cells.feature[j] + start);
  const F8 half = load<F8>(cells.half + start);
  for (size_t k = 0; k < count; ++k) {
    const float* plane = memory.planes + k * kSums;
    F8 distance = half * plane[kFeatures];
    for (int j = 0; j < kFeatures; ++j) distance += feature[j] * plane[j];
    store(memory.distances + k * kBlock, distance);
    nearest = lesser_of(distance, nearest);
  }
  return nearest;
}

// Every cell joins its nearest centres (all that tie): the sums of the new superpixels.
inline void regroup(SlicMemory& memory, const Cells& cells, size_t count) {
  std::fill_n(memory.lanes, count * kSums * kBlock, 0.0f);
  for (uint32_t start = 0; start < cells.padded; start += kBlock) {
    const F8 nearest = block_distances(memory, cells, start, count);
    const F8 half = load<F8>(cells.half + start);
    for (size_t k = 0; k < count; ++k) {
      const auto member = load<F8>(memory.distances + k * kBlock) == nearest;
      float* lane = memory.lanes + k * kSums * kBlock;
      const auto add = [&](int j, F8 value) {
        const F8 chosen = member ? value : F8{};
        store(lane + j * kBlock, load<F8>(lane + j * kBlock) + chosen);
      };
      for (int j = 0; j < kFeatures; ++j) add(j, load<F8>(cells.feature[j] + start));
      add(kFeatures, half);
    }
  }
  for (size_t s = 0; s < count * kSums; ++s) memory.sums[s] = sum_of(load<F8>(memory.lanes + s * kBlock));
}

// The last round: bytes [K][cells], 1 where a cell belongs; and the map, where a tie shows the lower.
inline void assign(const Call& call, const Slic& op, const SlicMemory& memory, const Cells& cells) {
  const size_t count = op.shape.superpixels();
  uint8_t* assignment = call.write<uint8_t>(op.assignment);
  int32_t* map = call.write<int32_t>(op.map);
  for (uint32_t start = 0; start < cells.padded; start += kBlock) {
    const F8 nearest = block_distances(memory, cells, start, count);
    const uint32_t inside = cells.count - start < kBlock ? cells.count - start : kBlock;
    for (size_t k = count; k-- > 0;) {
      const float* distance = memory.distances + k * kBlock;
      uint8_t* row = assignment + k * cells.count + start;
      for (uint32_t i = 0; i < inside; ++i) {
        row[i] = distance[i] == nearest[i];
        if (map && row[i]) map[call.slic->raster[start + i]] = static_cast<int32_t>(k);
      }
    }
  }
}

inline void slic(const Call& call, uint32_t part, uint32_t) {
  if (part != 0) return;
  const Slic& op = call.operation->slic;
  SlicMemory memory(op, call.write<float>(op.scratch));
  const size_t count = op.shape.superpixels();
  cell_features(call, op, memory.fine);
  if (op.coarse_iterations) coarsen(op.shape, memory.fine, memory.coarse);
  seed_sums(op.coarse_iterations ? memory.coarse : memory.fine, call.slic->seed, memory.sums, count);
  for (uint32_t i = 0; i < op.iterations; ++i) {
    move_centres(op, memory, i > 0);
    if (i + 1 == op.iterations)
      assign(call, op, memory, memory.fine);
    else
      regroup(memory, i < op.coarse_iterations ? memory.coarse : memory.fine, count);
  }
}
