// Whether an operation stays inside the file and the arena, and whether its numbers make sense.
//
// What passes here can be run on any picture: kernels check nothing.
#include <cmath>
#include <string>

#include "edgevit.h"
#include "kernels/kernels.h"
#include "plan.h"

namespace edgevit {
namespace {

constexpr uint64_t kMost = 1u << 24;  // of any size or stride; products of three fit 128 bits, of two 64

// Collects the first thing that is wrong.
class Checker {
 public:
  explicit Checker(const Plan& plan) : plan_(plan) {}

  Refusal refusal() const {
    return reason_.empty() ? Refusal{} : Refusal{EDGEVIT_DAMAGED, reason_};
  }

  void require(bool holds, const char* reason) {
    if (!holds && reason_.empty()) reason_ = reason;
  }

  // Sizes and counts: at least one, and not absurd.
  template <typename... Sizes>
  void sizes(Sizes... values) {
    for (const uint64_t value : {static_cast<uint64_t>(values)...})
      require(value > 0 && value <= kMost, "a size is zero or too large");
  }

  // Rows of elements that lie `stride` elements apart, in the arena (to be written).
  void written(uint32_t address, uint64_t rows, uint64_t stride, uint64_t columns, uint64_t bytes) {
    require((address & kConstant) == 0, "a result lies among the constants");
    span(address, rows, stride, columns, bytes);
  }

  // The same, to be read, in the arena or the file.
  void span(uint32_t address, uint64_t rows, uint64_t stride, uint64_t columns, uint64_t bytes) {
    require(rows <= kMost && stride <= kMost && columns <= kMost, "a size is too large");
    if (!reason_.empty() || rows == 0) return;
    const uint64_t length = ((rows - 1) * stride + columns) * bytes;
    const bool is_constant = (address & kConstant) != 0;
    const uint64_t start = address & ~kConstant;
    require(start % 4 == 0, "an address is not a multiple of four");
    require(start + length <= (is_constant ? plan_.file_bytes : plan_.arena_bytes),
            "a tensor lies outside of its memory");
  }

  void constant(uint32_t address, uint64_t count, uint64_t bytes) {
    require((address & kConstant) != 0, "weights lie in the arena");
    require(count <= uint64_t{1} << 31, "weights are too large");
    if (!reason_.empty()) return;
    const uint64_t start = address & ~kConstant;
    require(start % 64 == 0, "weights are not aligned");
    require(start + count * bytes <= plan_.file_bytes, "weights lie outside of the file");
  }

  void optional_constant(uint32_t address, uint64_t count, uint64_t bytes) {
    if (address != kNone) constant(address, count, bytes);
  }

  void output(const Output& output, uint64_t rows, uint64_t columns) {
    require(output.f32 != kNone || output.u8 != kNone, "an operation gives nothing");
    if (output.f32 != kNone) written(output.f32, rows, output.f32_stride, columns, 4);
    if (output.u8 == kNone) return;
    written(output.u8, rows, output.u8_stride, columns, 1);
    require(output.zero <= 255 && std::isfinite(output.inverse_scale), "a quantization is wrong");
  }

  const Plan& plan() const { return plan_; }

 private:
  const Plan& plan_;
  std::string reason_;
};

void check(Checker& c, const Picture& op) {
  c.require(op.channels == 3 || op.channels == 4, "a pixel has 3 or 4 channels");
  const uint32_t height = c.plan().height, width = c.plan().width;
  c.require(op.patch > 0 && op.patch <= width && width % op.patch == 0 &&
                (op.patch == width || height % op.patch == 0),
            "the picture is not a whole number of patches");
  const uint64_t bytes = op.is_float ? 4 : 1;
  c.constant(op.table, 3 * 256, bytes);
  c.written(op.dst, height, uint64_t{width} * op.channels, uint64_t{width} * op.channels, bytes);
}

// What both convolutions share.
void check_places(Checker& c, const Conv& op, uint64_t outputs) {
  c.sizes(op.height, op.width, op.channels, op.out_height, op.out_width, outputs, op.stride_h,
          op.stride_w);
  c.require(op.kernel_h >= 1 && op.kernel_w >= 1 && op.kernel_h <= 64 && op.kernel_w <= 64,
            "a kernel is too large");
  c.require(op.pad_h < op.kernel_h && op.pad_w < op.kernel_w, "a padding is not below its kernel");
  c.require(op.height <= 8192 || op.kernel_h == 1, "a map is too high");
  const auto last = [](uint64_t out, uint64_t stride, uint64_t pad, uint64_t kernel, uint64_t size) {
    const uint64_t covered = (out - 1) * stride + kernel;
    // Every window begins inside the padded map, and the padding behind it is below the kernel.
    return (out - 1) * stride < size + pad && covered <= size + pad + kernel - 1;
  };
  c.require(last(op.out_height, op.stride_h, op.pad_h, op.kernel_h, op.height) &&
                last(op.out_width, op.stride_w, op.pad_w, op.kernel_w, op.width),
            "a convolution reads outside of its map");
  c.require(uint64_t{op.height} * op.width <= kMost && uint64_t{op.out_height} * op.out_width <= kMost,
            "a map is too large");
  c.require(op.src_stride >= op.channels, "places of a map overlap");
  c.span(op.src, uint64_t{op.height} * op.width, op.src_stride, op.channels, op.is_float ? 4 : 1);
  c.require(op.is_float || (op.src & kConstant) == 0, "a quantized map is a constant");
  c.require(op.activation <= 3, "an activation is unknown");
  c.require(op.zero <= 255, "a zero point is no uint8");
  c.output(op.output, uint64_t{op.out_height} * op.out_width, outputs);
}

void check_conv(Checker& c, const Conv& op) {
  check_places(c, op, op.outputs);
  const uint64_t inputs = uint64_t{op.kernel_h} * op.kernel_w * op.channels;
  const uint64_t padded = (uint64_t{op.outputs} + kPanel - 1) / kPanel * kPanel;
  c.require(inputs <= 1u << 16, "a convolution has too many inputs");
  c.constant(op.bias, padded, 4);
  if (op.residual != kNone)
    c.span(op.residual, uint64_t{op.out_height} * op.out_width, op.residual_stride, op.outputs, 4);
  if (op.is_float) {
    c.constant(op.weights, inputs * padded, 4);
    return;
  }
  c.require(op.channels % 4 == 0, "channels of a quantized convolution come by four");
  c.constant(op.weights, inputs * padded, 1);
  c.constant(op.scales, padded, 4);
  c.constant(op.sums, padded, 4);
}

void check_depthwise(Checker& c, const Conv& op) {
  check_places(c, op, op.channels);
  const uint64_t taps = uint64_t{op.kernel_h} * op.kernel_w;
  c.require(taps <= 256, "a depthwise kernel is too large");
  c.require(op.residual == kNone, "a depthwise convolution adds nothing");
  c.constant(op.bias, op.channels, 4);
  if (op.is_float) {
    c.constant(op.weights, taps * op.channels, 4);
    return;
  }
  c.require(op.channels % 8 == 0, "channels of a quantized depthwise convolution come by eight");
  c.constant(op.weights, (taps + 1) / 2 * 2 * op.channels, 1);
  c.constant(op.scales, op.channels, 4);
  c.constant(op.sums, op.channels, 4);
}

void check_shape(Checker& c, const SlicShape& shape) {
  c.sizes(shape.image_px, shape.patch_px, shape.cell_px, shape.grid_rows, shape.grid_columns);
  c.require(shape.image_px <= 8192 && shape.grid_rows <= 256 && shape.grid_columns <= 256,
            "superpixels of too large a picture, or too many");
  if (c.refusal().status != 0) return;
  c.require(shape.image_px % shape.patch_px == 0 && shape.patch_px % shape.cell_px == 0,
            "the picture is not a whole number of patches of whole cells");
  c.require(uint64_t{shape.superpixels()} * shape.cells() <= kMost, "too many superpixels");
}

uint64_t slic_scratch_bytes(const SlicShape& shape) {
  const uint64_t floats = 16 * uint64_t{shape.cells()} + 256 * uint64_t{shape.superpixels()} + 4096;
  return (4 * floats + 63) / 64 * 64;
}

void check(Checker& c, const Slic& op) {
  check_shape(c, op.shape);
  if (c.refusal().status != 0) return;
  c.require(op.shape.image_px == c.plan().height && op.shape.image_px == c.plan().width,
            "superpixels of a picture of another size");
  c.require(op.iterations >= 1 && op.iterations <= 64 && op.coarse_iterations < op.iterations,
            "the iterations of SLIC are wrong");
  c.require(op.coarse_iterations == 0 || op.shape.patch_side() % 2 == 0,
            "coarse cells do not fit into a patch");
  c.require(std::isfinite(op.compactness) && std::isfinite(op.relaxation), "SLIC has no numbers");
  c.require(op.scratch_bytes >= slic_scratch_bytes(op.shape), "SLIC has too little memory");
  c.require(op.scratch % 64 == 0, "the memory of SLIC is not aligned");
  c.written(op.scratch, 1, 0, op.scratch_bytes / 4, 4);
  c.written(op.assignment, 1, 0, uint64_t{op.shape.superpixels()} * op.shape.cells(), 1);
  if (op.map != kNone) c.written(op.map, 1, 0, op.shape.cells(), 4);
}

void check(Checker& c, const Pool& op) {
  check_shape(c, op.shape);
  c.sizes(op.channels);
  if (c.refusal().status != 0) return;
  const uint64_t superpixels = op.shape.superpixels(), patches = op.shape.patches();
  c.span(op.src, patches, op.src_stride, op.channels, 4);
  c.require((op.assignment & kConstant) == 0, "superpixels are constant");
  c.span(op.assignment, 1, 0, superpixels * op.shape.cells(), 1);
  c.written(op.means, superpixels, op.channels, op.channels, 4);
  if (op.occupied != kNone) c.written(op.occupied, 1, 0, superpixels, 4);
  if (op.centroids != kNone) c.written(op.centroids, superpixels, 2, 2, 4);
  c.require(op.scratch_bytes >= 4 * superpixels * patches, "pooling has too little memory");
  c.written(op.scratch, 1, 0, op.scratch_bytes / 4, 4);
}

void check(Checker& c, const LayerNorm& op) {
  c.sizes(op.rows, op.channels);
  c.span(op.src, op.rows, op.src_stride, op.channels, 4);
  c.optional_constant(op.gamma, op.channels, 4);
  c.optional_constant(op.beta, op.channels, 4);
  c.require(std::isfinite(op.epsilon), "an epsilon is no number");
  c.output(op.output, op.rows, op.channels);
}

// Sizes of an operation that works head by head; whether they are sane.
template <typename Op>
bool check_heads(Checker& c, const Op& op) {
  c.sizes(op.heads, op.rows, op.tokens, op.head_width);
  c.require(op.heads <= 4096 && op.head_width <= 4096 && op.tokens <= 65536, "attention is too large");
  return c.refusal().status == 0;
}

// Memory for `columns` transposed columns of keys, and a row of scores for every part.
template <typename Op>
void check_scratch(Checker& c, const Op& op, uint64_t columns) {
  const uint64_t needed = 4 * (columns + kMaxParts) * padded_tokens(op.tokens);
  c.require(needed < kConstant && op.scratch_bytes >= needed, "attention has too little memory");
  c.written(op.scratch, 1, 0, op.scratch_bytes / 4, 4);
}

void check(Checker& c, const Attention& op) {
  if (!check_heads(c, op)) return;
  const uint64_t width = uint64_t{op.heads} * op.head_width;
  c.span(op.query, op.rows, op.query_stride, width, 4);
  c.span(op.key, op.tokens, op.key_stride, width, 4);
  c.span(op.value, op.tokens, op.value_stride, width, 4);
  if (op.mask != kNone) c.span(op.mask, 1, 0, op.tokens, 4);
  c.require(std::isfinite(op.scale), "a scale is no number");
  check_scratch(c, op, width);
  c.output(op.output, op.rows, width);
}

void check(Checker& c, const Scores& op) {
  if (!check_heads(c, op)) return;
  const uint64_t width = uint64_t{op.heads} * op.head_width;
  c.span(op.query, op.rows, op.query_stride, width, 4);
  c.span(op.key, op.tokens, op.key_stride, width, 4);
  c.require(std::isfinite(op.scale), "a scale is no number");
  check_scratch(c, op, width);
  c.output(op.output, op.rows, uint64_t{op.heads} * op.tokens);
}

void check(Checker& c, const Weighted& op) {
  if (!check_heads(c, op)) return;
  const uint64_t width = uint64_t{op.heads} * op.head_width;
  c.span(op.scores, op.rows, op.scores_stride, uint64_t{op.heads} * op.tokens, 4);
  c.span(op.value, op.tokens, op.value_stride, width, 4);
  check_scratch(c, op, 0);
  c.output(op.output, op.rows, width);
}

void check(Checker& c, const BinaryOp& op) {
  c.require(op.function <= 3, "a function is unknown");
  c.sizes(op.rows, op.columns);
  c.require(op.a_column_stride <= 1 && op.b_column_stride <= 1, "columns are not next to each other");
  c.span(op.a, op.rows, op.a_row_stride, op.a_column_stride ? op.columns : 1, 4);
  c.span(op.b, op.rows, op.b_row_stride, op.b_column_stride ? op.columns : 1, 4);
  c.output(op.output, op.rows, op.columns);
}

void check(Checker& c, const UnaryOp& op) {
  c.require(op.function <= 8, "a function is unknown");
  c.sizes(op.rows, op.columns);
  c.span(op.src, op.rows, op.src_stride, op.columns, 4);
  c.output(op.output, op.rows, op.columns);
}

void check(Checker& c, const Mean& op) {
  c.sizes(op.rows, op.columns);
  c.span(op.src, op.rows, op.src_stride, op.columns, 4);
  c.output(op.output, 1, op.columns);
}

void check(Checker& c, const Transpose& op) {
  c.sizes(op.batches, op.rows, op.columns);
  c.require(op.batch_stride <= kMost && op.src_stride <= kMost, "a size is too large");
  if (c.refusal().status != 0) return;
  const uint64_t last_batch = (op.batches - 1) * uint64_t{op.batch_stride};
  c.span(op.src, 1, 0, last_batch + (op.rows - 1) * uint64_t{op.src_stride} + op.columns, 4);
  c.output(op.output, uint64_t{op.batches} * op.columns, op.rows);
}

}  // namespace

Refusal check_operation(const Plan& plan, const Operation& operation) {
  Checker c(plan);
  switch (operation.kind) {
    case Kind::picture: check(c, operation.picture); break;
    case Kind::conv: check_conv(c, operation.conv); break;
    case Kind::depthwise: check_depthwise(c, operation.conv); break;
    case Kind::slic: check(c, operation.slic); break;
    case Kind::pool: check(c, operation.pool); break;
    case Kind::layer_norm: check(c, operation.layer_norm); break;
    case Kind::attention: check(c, operation.attention); break;
    case Kind::binary: check(c, operation.binary); break;
    case Kind::unary: check(c, operation.unary); break;
    case Kind::mean: check(c, operation.mean); break;
    case Kind::scores: check(c, operation.scores); break;
    case Kind::weighted: check(c, operation.weighted); break;
    case Kind::transpose: check(c, operation.transpose); break;
  }
  if (c.refusal().status == 0)
    c.require(staged_numbers(operation) <= kMost, "the windows of a convolution are too large");
  return c.refusal();
}

// A number that is read, computed with by itself and written, in multiply-adds.
constexpr double kElement = 64;

// Of an operation that makes `products` products of every query and token.
template <typename Op>
double work_of_heads(const Op& op, double products) {
  return double{1} * op.heads * op.rows * padded_tokens(op.tokens) * (products * op.head_width + kElement);
}

double work_of(const Plan& plan, const Operation& operation) {
  switch (operation.kind) {
    case Kind::picture: return kElement * plan.height * plan.width;
    case Kind::conv: {
      const Conv& op = operation.conv;
      const double inputs = double{1} * op.kernel_h * op.kernel_w * op.channels;
      return (inputs + kElement) * op.outputs * op.out_height * op.out_width;
    }
    case Kind::depthwise: {
      const Conv& op = operation.conv;
      return (double{1} * op.kernel_h * op.kernel_w + kElement) * op.channels * op.out_height * op.out_width;
    }
    case Kind::slic: {
      const Slic& op = operation.slic;
      return kElement * op.iterations * op.shape.superpixels() * op.shape.cells();
    }
    case Kind::pool: {
      const Pool& op = operation.pool;
      return double{1} * op.shape.superpixels() * (op.shape.patches() * double{1} * op.channels + op.shape.cells());
    }
    case Kind::layer_norm: return kElement * operation.layer_norm.rows * operation.layer_norm.channels;
    case Kind::attention: return work_of_heads(operation.attention, 2);
    case Kind::binary: return kElement * operation.binary.rows * operation.binary.columns;
    case Kind::unary: return kElement * operation.unary.rows * operation.unary.columns;
    case Kind::mean: return kElement * operation.mean.rows * operation.mean.columns;
    case Kind::scores: return work_of_heads(operation.scores, 1);
    case Kind::weighted: return work_of_heads(operation.weighted, 1);
    case Kind::transpose: {
      const Transpose& op = operation.transpose;
      return kElement * op.batches * op.rows * op.columns;
    }
  }
  return 0;
}

}  // namespace edgevit
