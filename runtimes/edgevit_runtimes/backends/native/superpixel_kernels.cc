// Native ONNX Runtime kernels for edgevit::SuperpixelSlic and edgevit::SuperpixelPool.
//
// Registered under the names of the custom ops, they take the place of the function bodies in the
// model file and give the same bits: every sum is of whole numbers below 2^24 (see edgevit/slic.py),
// and what works on one element at a time is written in the same order of operations. Build with
// -ffp-contract=off: a fused multiply-add in a polynomial would round differently.
//
// Tables are derived from the node's attributes once, when a session opens.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

namespace {

constexpr int kFeatures = 5;  // L*, a*, b*, y, x
constexpr int kBlock = 16;    // cells handled together: one AVX-512 register, two of AVX2
constexpr float kLightLevels = 4096.0f, kFLevels = 2048.0f, kLabLevels = 4.0f;
constexpr float kOffWhole = 0.25f;  // see OFF_WHOLE in edgevit/slic.py
constexpr double kXyzLevels = 1024.0;
constexpr double kLinearLight[] = {0.008773176092511747, 0.04681307431133926, 0.7375567457809078,
                                   0.47299273965935523};
constexpr double kFOfRoot[] = {-0.8267, 1.3887538249028275, -0.5001457211393022,
                               0.29433453401621573};
constexpr float kWhiteXyzFromRgb[3][3] = {{445, 385, 194}, {218, 732, 74}, {18, 112, 894}};

struct Attributes {
  int64_t image_px, patch_px, cell_px, grid_rows, grid_columns, iterations, coarse_iterations, soft;
  float compactness, relaxation;

  explicit Attributes(const Ort::ConstKernelInfo& info)
      : image_px(info.GetAttribute<int64_t>("image_px")),
        patch_px(info.GetAttribute<int64_t>("patch_px")),
        cell_px(info.GetAttribute<int64_t>("cell_px")),
        grid_rows(info.GetAttribute<int64_t>("grid_rows")),
        grid_columns(info.GetAttribute<int64_t>("grid_columns")),
        iterations(info.GetAttribute<int64_t>("iterations")),
        coarse_iterations(info.GetAttribute<int64_t>("coarse_iterations")),
        soft(info.GetAttribute<int64_t>("soft")),
        compactness(info.GetAttribute<float>("compactness")),
        relaxation(info.GetAttribute<float>("relaxation")) {}

  int64_t superpixels() const { return grid_rows * grid_columns; }
  int64_t patches_per_side() const { return image_px / patch_px; }
  int64_t patches() const { return patches_per_side() * patches_per_side(); }
  int64_t patch_side() const { return patch_px / cell_px; }  // in cells
  int64_t patch_cells() const { return patch_side() * patch_side(); }
  int64_t side() const { return image_px / cell_px; }  // in cells
  int64_t cells() const { return side() * side(); }
  int64_t patch_values() const { return patch_px * patch_px * 3; }

  // Row and column of a cell, patch by patch.
  void place(int64_t cell, int64_t& y, int64_t& x) const {
    const int64_t patch = cell / patch_cells(), inside = cell % patch_cells();
    y = patch / patches_per_side() * patch_side() + inside / patch_side();
    x = patch % patches_per_side() * patch_side() + inside % patch_side();
  }
};

// Features of cells, one array each, padded to whole blocks with cells of weight 0.
struct Cells {
  int64_t count = 0;
  std::vector<float> feature[kFeatures];
  std::vector<float> half;  // 0.5 for each cell inside; 0 for padding

  void resize(int64_t cells) {
    count = cells;
    const int64_t padded = (cells + kBlock - 1) / kBlock * kBlock;
    for (auto& values : feature) values.assign(padded, 0.0f);
    half.assign(padded, 0.0f);
  }
  int64_t padded() const { return static_cast<int64_t>(half.size()); }
};

struct SlicKernel {
  SlicKernel(const OrtApi&, const OrtKernelInfo* info) : a(Ort::ConstKernelInfo(info)) {
    const double full = static_cast<double>(a.cell_px * a.cell_px * 255);
    for (int p = 0; p < 4; ++p) {
      light[p] = static_cast<float>(kLightLevels * kLinearLight[p] / std::pow(full, p) +
                                    (p == 0 ? 0.5 : 0.0));
      f[p] = static_cast<float>(kFLevels * kFOfRoot[p] /
                                std::pow(std::pow(kLightLevels * kXyzLevels, 0.25), p));
    }
    const int64_t cells = a.cells();
    const double spacing = a.side() / std::sqrt(static_cast<double>(a.superpixels()));
    const double scale = kLabLevels * static_cast<double>(a.compactness) / spacing;
    place_y.resize(cells);
    place_x.resize(cells);
    for (int64_t i = 0; i < cells; ++i) {
      int64_t y, x;
      a.place(i, y, x);
      place_y[i] = static_cast<float>(std::floor((y - (a.side() - 1) / 2.0) * scale));
      place_x[i] = static_cast<float>(std::floor((x - (a.side() - 1) / 2.0) * scale));
    }
    // Where there are coarse rounds the start is on coarse cells, one for every even row and column.
    const bool coarse = a.coarse_iterations > 0;
    for (int64_t i = 0; i < cells; ++i) {
      int64_t y, x;
      a.place(i, y, x);
      if (coarse && (y % 2 || x % 2)) continue;
      const int64_t twice_y = 2 * y + (coarse ? 2 : 1), twice_x = 2 * x + (coarse ? 2 : 1);
      seed.push_back(static_cast<int>(twice_y * a.grid_rows / (2 * a.side()) * a.grid_columns +
                                      twice_x * a.grid_columns / (2 * a.side())));
    }
  }

  void Compute(OrtKernelContext* raw) {
    Ort::KernelContext context(raw);
    const auto patches = context.GetInput(0);
    const int64_t batch = patches.GetTensorTypeAndShapeInfo().GetShape()[0];
    const int64_t count = a.superpixels(), cells = a.cells();
    auto output = context.GetOutput(0, {batch, count, cells});
    const float* rows = patches.GetTensorData<float>();
    float* assignment = output.GetTensorMutableData<float>();
    Cells fine, coarse;
    std::vector<float> sums, centres, planes;
    for (int64_t b = 0; b < batch; ++b) {
      Features(rows + b * a.patches() * a.patch_values(), fine);
      if (a.coarse_iterations > 0) Coarsen(fine, coarse);
      SeedSums(a.coarse_iterations > 0 ? coarse : fine, sums);
      centres.assign(count * kFeatures, 0.0f);
      for (int64_t i = 0; i < a.iterations; ++i) {
        MoveCentres(sums, centres, planes, i > 0);
        const bool last = i + 1 == a.iterations;
        const Cells& level = i < a.coarse_iterations ? coarse : fine;
        Assign(level, planes, sums, last ? assignment + b * count * cells : nullptr);
      }
    }
  }

 private:
  // CIELAB of every cell, pass by pass over arrays: each pass is a vector loop.
  void Features(const float* patches, Cells& out) const {
    const int64_t cells = a.cells();
    if (out.count != cells) {
      out.resize(cells);
      std::fill_n(out.half.begin(), cells, 0.5f);
      std::copy(place_y.begin(), place_y.end(), out.feature[3].begin());
      std::copy(place_x.begin(), place_x.end(), out.feature[4].begin());
    }
    std::vector<float> rgb[3], g[3];
    for (int c = 0; c < 3; ++c) {
      rgb[c].resize(cells);
      g[c].resize(cells);
    }
    PixelSums(patches, rgb);
    for (auto& channel : rgb) FloorOfHorner(channel.data(), light, channel.data());
    for (int c = 0; c < 3; ++c) {
      const float* m = kWhiteXyzFromRgb[c];
      const float *r = rgb[0].data(), *green = rgb[1].data(), *blue = rgb[2].data();
      float* root = g[c].data();
#pragma omp simd
      for (int64_t i = 0; i < cells; ++i)
        root[i] = std::sqrt(std::sqrt(m[0] * r[i] + m[1] * green[i] + m[2] * blue[i]));
      FloorOfHorner(root, f, root);
    }
    constexpr float to_lab = kLabLevels / kFLevels;
    float *l = out.feature[0].data(), *ab = out.feature[1].data(), *bb = out.feature[2].data();
    const float *gx = g[0].data(), *gy = g[1].data(), *gz = g[2].data();
#pragma omp simd
    for (int64_t i = 0; i < cells; ++i) {
      l[i] = std::floor(116 * to_lab * gy[i]);
      ab[i] = std::floor(500 * to_lab * gx[i] - 500 * to_lab * gy[i]);
      bb[i] = std::floor(200 * to_lab * gy[i] - 200 * to_lab * gz[i]);
    }
  }

  // A patch's rows of pixels are added up cell row by cell row, then pixel by pixel.
  void PixelSums(const float* patches, std::vector<float> (&rgb)[3]) const {
    const int64_t side = a.patch_side(), width = a.patch_px * 3, cell = a.cell_px;
    std::vector<float> strip(width);
    int64_t out = 0;
    for (int64_t p = 0; p < a.patches() * side; ++p, patches += cell * width) {
      std::copy(patches, patches + width, strip.begin());
      for (int64_t y = 1; y < cell; ++y) {
        const float* row = patches + y * width;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) strip[i] += row[i];
      }
      for (int64_t cx = 0; cx < side; ++cx, ++out) {
        const float* pixel = strip.data() + cx * cell * 3;
        float red = 0, green = 0, blue = 0;
        for (int64_t x = 0; x < cell; ++x, pixel += 3) {
          red += pixel[0];
          green += pixel[1];
          blue += pixel[2];
        }
        rgb[0][out] = red;
        rgb[1][out] = green;
        rgb[2][out] = blue;
      }
    }
  }

  void FloorOfHorner(const float* x, const float* c, float* out) const {
    const float c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
#pragma omp simd
    for (int64_t i = 0; i < a.cells(); ++i)
      out[i] = std::floor(((x[i] * c3 + c2) * x[i] + c1) * x[i] + c0);
  }

  void Coarsen(const Cells& fine, Cells& out) const {
    const int64_t side = a.patch_side(), rows = a.patches() * side;
    if (out.count != a.cells() / 4) {
      out.resize(a.cells() / 4);
      std::fill_n(out.half.begin(), out.count, 2.0f);
    }
    for (int j = 0; j < kFeatures; ++j) {
      const float* from = fine.feature[j].data();
      float* to = out.feature[j].data();
      for (int64_t y = 0; y < rows; y += 2, from += 2 * side)
        for (int64_t x = 0; x < side; x += 2)
          *to++ = from[x] + from[x + 1] + from[side + x] + from[side + x + 1];
    }
  }

  // Sums over the seed grid, of the level that the first round starts from.
  void SeedSums(const Cells& start, std::vector<float>& sums) const {
    sums.assign(a.superpixels() * (kFeatures + 1), 0.0f);
    for (int64_t i = 0; i < start.count; ++i) {
      float* sum = sums.data() + seed[i] * (kFeatures + 1);
      for (int j = 0; j < kFeatures; ++j) sum[j] += start.feature[j][i];
      sum[kFeatures] += start.half[i];
    }
  }

  // Centres in half the features' unit, and the planes -2 c.f + |c|^2 / 2 over the features.
  void MoveCentres(const std::vector<float>& sums, std::vector<float>& centres,
                   std::vector<float>& planes, bool relax) const {
    planes.resize(a.superpixels() * (kFeatures + 1));
    for (int64_t k = 0; k < a.superpixels(); ++k) {
      const float* sum = sums.data() + k * (kFeatures + 1);
      float* centre = centres.data() + k * kFeatures;
      float* plane = planes.data() + k * (kFeatures + 1);
      float squares = 0;
      for (int j = 0; j < kFeatures; ++j) {
        float to = std::floor((sum[j] + kOffWhole) / std::max(sum[kFeatures], 0.5f));
        if (relax) to = std::floor(to * a.relaxation - centre[j] * (a.relaxation - 1));
        centre[j] = to;
        squares += to * to;
        plane[j] = -2 * to;
      }
      plane[kFeatures] = squares;
    }
  }

  // Every cell joins its nearest centres (all that tie). Gives the sums of the new superpixels, or
  // in the last round the one-hot assignment.
  void Assign(const Cells& cells, const std::vector<float>& planes, std::vector<float>& sums,
              float* one_hot) const {
    const int64_t count = a.superpixels();
    constexpr int kSums = kFeatures + 1;
    std::vector<float> distances(count * kBlock), lanes(one_hot ? 0 : count * kSums * kBlock, 0.0f);
    for (int64_t start = 0; start < cells.padded(); start += kBlock) {
      float nearest[kBlock];
      std::fill_n(nearest, kBlock, INFINITY);
      const float* half = cells.half.data() + start;
      const float* feature[kFeatures];
      for (int j = 0; j < kFeatures; ++j) feature[j] = cells.feature[j].data() + start;
      for (int64_t k = 0; k < count; ++k) {
        const float* plane = planes.data() + k * kSums;
        float* distance = distances.data() + k * kBlock;
#pragma omp simd
        for (int i = 0; i < kBlock; ++i) {
          float d = plane[kFeatures] * half[i];
          for (int j = 0; j < kFeatures; ++j) d += plane[j] * feature[j][i];
          distance[i] = d;
          nearest[i] = d < nearest[i] ? d : nearest[i];
        }
      }
      const int64_t inside = std::min<int64_t>(kBlock, cells.count - start);
      for (int64_t k = 0; k < count; ++k) {
        const float* distance = distances.data() + k * kBlock;
        float member[kBlock];
#pragma omp simd
        for (int i = 0; i < kBlock; ++i) member[i] = distance[i] == nearest[i] ? 1.0f : 0.0f;
        if (one_hot) {
          std::memcpy(one_hot + k * cells.count + start, member, inside * sizeof(float));
          continue;
        }
        float* lane = lanes.data() + k * kSums * kBlock;
        for (int j = 0; j < kFeatures; ++j)
#pragma omp simd
          for (int i = 0; i < kBlock; ++i) lane[j * kBlock + i] += member[i] * feature[j][i];
#pragma omp simd
        for (int i = 0; i < kBlock; ++i) lane[kFeatures * kBlock + i] += member[i] * half[i];
      }
    }
    if (one_hot) return;
    for (int64_t s = 0; s < count * kSums; ++s) {
      float sum = 0;
      for (int i = 0; i < kBlock; ++i) sum += lanes[s * kBlock + i];
      sums[s] = sum;
    }
  }

  Attributes a;
  float light[4], f[4];
  std::vector<float> place_y, place_x;
  std::vector<int> seed;
};

struct PoolKernel {
  PoolKernel(const OrtApi&, const OrtKernelInfo* info) : a(Ort::ConstKernelInfo(info)) {}

  void Compute(OrtKernelContext* raw) {
    Ort::KernelContext context(raw);
    const auto values = context.GetInput(0);
    const auto shape = values.GetTensorTypeAndShapeInfo().GetShape();
    const int64_t batch = shape[0], width = shape[2];
    const int64_t count = a.superpixels(), n = a.patches();
    float* means = Output(context, 0, {batch, count, width});
    float* occupied = Output(context, 1, {batch, count});
    float* centroids = Output(context, 2, {batch, count, 2});
    float* membership = Output(context, 3, {batch, count, n});
    const float* value = values.GetTensorData<float>();
    const float* assignment = context.GetInput(1).GetTensorData<float>();
    std::vector<float> overlap(count * n);
    for (int64_t b = 0; b < batch; ++b) {
      const float* one_hot = assignment + b * count * a.cells();
      Overlap(one_hot, overlap);
      Centroids(one_hot, overlap, centroids + b * count * 2);
      Membership(overlap, membership + b * count * n);
      Means(value + b * n * width, width, membership + b * count * n, means + b * count * width,
            occupied + b * count);
    }
  }

 private:
  static float* Output(Ort::KernelContext& context, size_t i, std::vector<int64_t> shape) {
    return context.GetOutput(i, shape).GetTensorMutableData<float>();
  }

  void Overlap(const float* one_hot, std::vector<float>& overlap) const {
    const int64_t per_patch = a.patch_cells();
    for (size_t i = 0; i < overlap.size(); ++i, one_hot += per_patch) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < per_patch; ++c) sum += one_hot[c];
      overlap[i] = sum;
    }
  }

  // Sums of the places of patches, and of the places of cells inside them.
  void Centroids(const float* one_hot, const std::vector<float>& overlap, float* centroids) const {
    const int64_t per_patch = a.patch_cells(), side = a.patch_side(), per_side = a.patches_per_side();
    const double middle = (a.side() - 1) / 2.0;
    std::vector<float> inside(per_patch);
    for (int64_t k = 0; k < a.superpixels(); ++k) {
      double y = 0, x = 0, cells = 0;
      std::fill(inside.begin(), inside.end(), 0.0f);
      for (int64_t p = 0; p < a.patches(); ++p, one_hot += per_patch) {
        const float in_patch = overlap[k * a.patches() + p];
        if (in_patch == 0.0f) continue;
#pragma omp simd
        for (int64_t c = 0; c < per_patch; ++c) inside[c] += one_hot[c];
        y += in_patch * static_cast<float>(p / per_side * side);
        x += in_patch * static_cast<float>(p % per_side * side);
        cells += in_patch;
      }
      for (int64_t c = 0; c < per_patch; ++c) {
        y += inside[c] * static_cast<float>(c / side);
        x += inside[c] * static_cast<float>(c % side);
      }
      const float divisor = static_cast<float>(std::max(cells, 1.0));
      centroids[2 * k] = static_cast<float>((y - cells * middle) / side) / divisor;
      centroids[2 * k + 1] = static_cast<float>((x - cells * middle) / side) / divisor;
    }
  }

  void Membership(const std::vector<float>& overlap, float* membership) const {
    const int64_t count = a.superpixels(), n = a.patches();
    const float per_patch = static_cast<float>(a.patch_cells());
    if (a.soft) {
      for (int64_t i = 0; i < count * n; ++i) membership[i] = overlap[i] / per_patch;
      return;
    }
    std::fill_n(membership, count * n, 0.0f);
    for (int64_t p = 0; p < n; ++p) {
      int64_t owner = 0;
      for (int64_t k = 1; k < count; ++k)
        if (overlap[k * n + p] > overlap[owner * n + p]) owner = k;
      membership[owner * n + p] = 1.0f;
    }
  }

  void Means(const float* values, int64_t width, const float* membership, float* means,
             float* occupied) const {
    const int64_t count = a.superpixels(), n = a.patches();
    std::fill_n(means, count * width, 0.0f);
    for (int64_t k = 0; k < count; ++k) {
      float* mean = means + k * width;
      float members = 0;
      for (int64_t p = 0; p < n; ++p) {
        const float share = membership[k * n + p];
        if (share == 0.0f) continue;
        members += share;
        const float* value = values + p * width;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) mean[i] += share * value[i];
      }
      occupied[k] = members > 0 ? 1.0f : 0.0f;
      const float divisor = members > 0 ? members : 1.0f;
      for (int64_t i = 0; i < width; ++i) mean[i] /= divisor;
    }
  }

  Attributes a;
};

template <typename Op, typename Kernel>
struct FloatOp : Ort::CustomOpBase<Op, Kernel> {
  void* CreateKernel(const OrtApi& api, const OrtKernelInfo* info) const {
    return new Kernel(api, info);
  }
  const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
  ONNXTensorElementDataType GetInputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
  ONNXTensorElementDataType GetOutputType(size_t) const {
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  }
};

struct SuperpixelSlic : FloatOp<SuperpixelSlic, SlicKernel> {
  const char* GetName() const { return "SuperpixelSlic"; }
  size_t GetInputTypeCount() const { return 1; }
  size_t GetOutputTypeCount() const { return 1; }
};

struct SuperpixelPool : FloatOp<SuperpixelPool, PoolKernel> {
  const char* GetName() const { return "SuperpixelPool"; }
  size_t GetInputTypeCount() const { return 2; }
  size_t GetOutputTypeCount() const { return 4; }
};

}  // namespace

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(
    OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr)
    return base->GetApi(1)->CreateStatus(
        ORT_FAIL, "the kernels were built with headers newer than this ONNX Runtime");
  Ort::InitApi(api);
  static const SuperpixelSlic slic;
  static const SuperpixelPool pool;
  static Ort::CustomOpDomain domain{"edgevit"};
  static const bool added = (domain.Add(&slic), domain.Add(&pool), true);
  (void)added;
  try {
    Ort::UnownedSessionOptions{options}.Add(domain);
  } catch (const Ort::Exception& error) {
    return Ort::GetApi().CreateStatus(error.GetOrtErrorCode(), error.what());
  }
  return nullptr;
}
