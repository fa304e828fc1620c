// SLIC on cells, in whole numbers: the bits of edgevit/zoo/slic.py's meaning, whatever the processor.
//
// Every sum is of whole numbers below 2^24, which float32 holds exactly; what works on one element
// is written in the same order of operations as the model's own graph.

constexpr int kFeatures = 5;         // L*, a*, b*, y, x
constexpr int kSums = kFeatures + 1;  // and half the number of cells
constexpr uint32_t kBlock = kLanes;  // cells that are handled together

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

inline F floor_of_cubic(F x, const float* c) {
  return floored(((x * c[3] + c[2]) * x + c[1]) * x + c[0]);
}

constexpr size_t kStrip = 768;  // bytes of a row of pixels that are added up together: whole pixels

// Sums of a strip's bytes over some rows of pixels.
inline void add_rows(const uint8_t* strip, size_t bytes, size_t row_bytes, uint32_t rows,
                     uint32_t* __restrict sums) {
  std::fill_n(sums, bytes, 0);
  for (uint32_t y = 0; y < rows; ++y, strip += row_bytes)
    for (size_t i = 0; i < bytes; ++i) sums[i] += strip[i];
}

// Adds the sums of pixels [x, end) to the cells that they lie in. `cells` is where the first cell of
// their row lies in the order of cells, which is patch by patch.
inline void add_to_cells(const SlicShape& shape, const uint32_t* sums, uint32_t x, uint32_t end,
                         float* const* rgb, size_t cells) {
  const uint32_t side = shape.patch_side(), width = shape.cell_px, to_next_patch = shape.patch_cells() - side;
  uint32_t in_patch = x / width % side, left = width - x % width;  // pixels of the cell
  size_t cell = cells + size_t{x / width / side} * shape.patch_cells() + in_patch;
  for (; x < end; left = width, ++cell) {
    left = std::min(left, end - x);
    x += left;
    uint32_t red = 0, green = 0, blue = 0;
    for (; left > 0; --left, sums += 3) red += sums[0], green += sums[1], blue += sums[2];
    rgb[0][cell] += static_cast<float>(red);
    rgb[1][cell] += static_cast<float>(green);
    rgb[2][cell] += static_cast<float>(blue);
    if (++in_patch == side) in_patch = 0, cell += to_next_patch;
  }
}

// Sums of the pixels of every cell, cells patch by patch.
inline void pixel_sums(const Call& call, const SlicShape& shape, float* const* rgb) {
  for (int c = 0; c < 3; ++c) std::fill_n(rgb[c], shape.cells(), 0.0f);
  const uint32_t side = shape.patch_side();
  uint32_t sums[kStrip];
  for (uint32_t row = 0; row < shape.side(); ++row) {
    const size_t cells = size_t{row / side} * shape.patches_per_side() * shape.patch_cells() + row % side * side;
    const uint8_t* pixels = call.rgb + size_t{row} * shape.cell_px * call.row_bytes;
    for (uint32_t x = 0; x < shape.image_px; x += kStrip / 3) {
      const uint32_t end = std::min<uint32_t>(x + kStrip / 3, shape.image_px);
      add_rows(pixels + 3 * x, 3 * (end - x), call.row_bytes, shape.cell_px, sums);
      add_to_cells(shape, sums, x, end, rgb, cells);
    }
  }
}

// Writes the sums of the pixels of every cell: float [3][cells], cells patch by patch.
using PixelSums = void (*)(const Call& call, const SlicShape& shape, float* const* rgb);

// CIELAB colour and place of every cell.
inline void cell_features(const Call& call, const Slic& op, PixelSums pixel_sums, Cells& cells) {
  const SlicTables& tables = *call.slic;
  constexpr float to_lab = 4.0f / 2048.0f;
  cells.set_weights(0.5f);
  std::copy(tables.place_y.begin(), tables.place_y.end(), cells.feature[3]);
  std::copy(tables.place_x.begin(), tables.place_x.end(), cells.feature[4]);
  pixel_sums(call, op.shape, cells.feature);  // where their colours will be
  for (uint32_t i = 0; i < cells.padded; i += kBlock) {
    F light[3], f[3];
    for (int c = 0; c < 3; ++c) light[c] = floor_of_cubic(load<F>(cells.feature[c] + i), tables.light);
    constexpr float xyz[3][3] = {{445, 385, 194}, {218, 732, 74}, {18, 112, 894}};
    for (int c = 0; c < 3; ++c) {
      const F sum = xyz[c][0] * light[0] + xyz[c][1] * light[1] + xyz[c][2] * light[2];
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

// Sums of the superpixels that cells start in. Neighbours start in the same one, mostly: their sums
// stay in registers until another one comes.
inline void seed_sums(const Cells& cells, const std::vector<uint32_t>& seed, float* sums, size_t count) {
  std::fill_n(sums, count * kSums, 0.0f);
  for (uint32_t i = 0; i < cells.count;) {
    const uint32_t superpixel = seed[i];
    float of_run[kSums] = {};
    for (; i < cells.count && seed[i] == superpixel; ++i) {
      for (int j = 0; j < kFeatures; ++j) of_run[j] += cells.feature[j][i];
      of_run[kFeatures] += cells.half[i];
    }
    for (int j = 0; j < kSums; ++j) sums[superpixel * kSums + j] += of_run[j];
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
inline F block_distances(const SlicMemory& memory, const Cells& cells, uint32_t start, size_t count) {
  F feature[kFeatures], nearest = fill<F>(INFINITY);
  for (int j = 0; j < kFeatures; ++j) feature[j] = load<F>(cells.feature[j] + start);
  const F half = load<F>(cells.half + start);
  for (size_t k = 0; k < count; ++k) {
    const float* plane = memory.planes + k * kSums;
    F distance = half * plane[kFeatures];
    for (int j = 0; j < kFeatures; ++j) distance += feature[j] * plane[j];
    store(memory.distances + k * kBlock, distance);
    nearest = lesser_of(distance, nearest);
  }
  return nearest;
}

// The sum of a block's lanes: whole numbers, exact in any order.
inline float sum_of_block(const float* lanes) {
  F4 sum = load<F4>(lanes) + load<F4>(lanes + 4);
  for (uint32_t i = 8; i < kBlock; i += 4) sum += load<F4>(lanes + i);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// Every cell joins its nearest centres (all that tie): the sums of the new superpixels. Few centres are
// the nearest ones of a block; they are found first.
inline void regroup(SlicMemory& memory, const Cells& cells, size_t count) {
  std::fill_n(memory.lanes, count * kSums * kBlock, 0.0f);
  for (uint32_t start = 0; start < cells.padded; start += kBlock) {
    const F nearest = block_distances(memory, cells, start, count);
    const auto is_member = [&](size_t k) { return I(load<F>(memory.distances + k * kBlock) == nearest); };
    for (size_t first = 0; first < count; first += kSearched) {
      uint32_t joined[kSearched];
      const size_t found = find_wanted(first, std::min(count, first + kSearched), joined,
                                       [&](size_t k) { return any_of(is_member(k)); });
      for (size_t i = 0; i < found; ++i) {
        const I member = is_member(joined[i]);
        float* lane = memory.lanes + size_t{joined[i]} * kSums * kBlock;
        const auto add = [&](int j, F value) { store(lane + j * kBlock, load<F>(lane + j * kBlock) + (member ? value : F{})); };
        for (int j = 0; j < kFeatures; ++j) add(j, load<F>(cells.feature[j] + start));
        add(kFeatures, load<F>(cells.half + start));
      }
    }
  }
  for (size_t s = 0; s < count * kSums; ++s) memory.sums[s] = sum_of_block(memory.lanes + s * kBlock);
}

// The last round: bytes [K][cells], 1 where a cell belongs; and the map, where a tie shows the lower.
inline void assign(const Call& call, const Slic& op, const SlicMemory& memory, const Cells& cells) {
  const size_t count = op.shape.superpixels();
  uint8_t* assignment = call.write<uint8_t>(op.assignment);
  int32_t* map = call.write<int32_t>(op.map);
  for (uint32_t start = 0; start < cells.count; start += kBlock) {
    const F nearest = block_distances(memory, cells, start, count);
    const uint32_t inside = std::min(cells.count - start, kBlock);
    I owner = {};
    for (size_t k = count; k-- > 0;) {
      const I member = load<F>(memory.distances + k * kBlock) == nearest;
      put_bytes(assignment + k * cells.count + start, I(member & 1), inside);
      owner = member ? I{} + static_cast<int32_t>(k) : owner;
    }
    for (uint32_t i = 0; map && i < inside; ++i) map[call.slic->raster[start + i]] = owner[i];
  }
}

inline void slic(const Call& call, PixelSums pixel_sums) {
  const Slic& op = call.operation->slic;
  SlicMemory memory(op, call.write<float>(op.scratch));
  const size_t count = op.shape.superpixels();
  cell_features(call, op, pixel_sums, memory.fine);
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

inline void slic(const Call& call, uint32_t part, uint32_t) {
  if (part == 0) slic(call, pixel_sums);
}
