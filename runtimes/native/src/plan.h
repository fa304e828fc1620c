// A model file, checked and understood: docs/native.md tells its format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgevit {

constexpr uint32_t kNone = 0xFFFFFFFFu;
constexpr uint32_t kConstant = 0x80000000u;  // an address in the file, not in the arena
constexpr uint32_t kMaxParts = 16;           // threads of an inference
constexpr uint32_t kPanel = 16;              // outputs of a product that are computed together

enum class Kind : uint32_t {
  picture = 1, conv, depthwise, slic, pool, layer_norm, attention, binary, unary, mean,
  scores, weighted, transpose
};
constexpr uint32_t kKinds = 14;

enum class Activation : uint32_t { none, relu, gelu, hard_swish };

enum class Unary : uint32_t {
  copy, relu, gelu, hard_swish, sine, hard_sigmoid, square_root, exponential, erf
};

enum class Binary : uint32_t { add, subtract, multiply, divide };

// Where a result of rows goes: as float32, quantized, or both.
struct Output {
  uint32_t f32, f32_stride, u8, u8_stride;
  float inverse_scale;
  uint32_t zero;
};

struct Picture { uint32_t dst, is_float, channels, patch, table, fill; };

struct Conv {
  uint32_t src, is_float, height, width, channels, src_stride, out_height, out_width, outputs;
  uint32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  uint32_t weights, scales, sums, bias, zero, activation, residual, residual_stride;
  Output output;
};

struct SlicShape {
  uint32_t image_px, patch_px, cell_px, grid_rows, grid_columns;

  uint32_t superpixels() const { return grid_rows * grid_columns; }
  uint32_t patches_per_side() const { return image_px / patch_px; }
  uint32_t patches() const { return patches_per_side() * patches_per_side(); }
  uint32_t patch_side() const { return patch_px / cell_px; }  // in cells
  uint32_t patch_cells() const { return patch_side() * patch_side(); }
  uint32_t side() const { return image_px / cell_px; }  // in cells
  uint32_t cells() const { return side() * side(); }
};

struct Slic {
  uint32_t assignment, map, scratch, scratch_bytes;
  SlicShape shape;
  uint32_t iterations, coarse_iterations;
  float compactness, relaxation;
};

struct Pool {
  uint32_t src, src_stride, channels, assignment, means, occupied, centroids;
  uint32_t scratch, scratch_bytes;
  SlicShape shape;
  uint32_t soft;
};

struct LayerNorm {
  uint32_t src, rows, channels, src_stride, gamma, beta;
  float epsilon;
  Output output;
};

// Of one row of scores, in floats: whole vectors.
inline uint32_t padded_tokens(uint32_t tokens) { return (tokens + 7) / 8 * 8; }

struct Attention {
  uint32_t query, query_stride, key, key_stride, value, value_stride;
  uint32_t heads, rows, tokens, head_width;
  float scale;
  uint32_t mask, scratch, scratch_bytes;
  Output output;
};

struct BinaryOp {
  uint32_t function, a, a_row_stride, a_column_stride, b, b_row_stride, b_column_stride;
  uint32_t rows, columns;
  Output output;
};

struct UnaryOp {
  uint32_t function, src, rows, columns, src_stride;
  Output output;
};

struct Mean {
  uint32_t src, rows, columns, src_stride;
  Output output;
};

struct Scores {
  uint32_t query, query_stride, key, key_stride;
  uint32_t heads, rows, tokens, head_width;
  float scale;
  uint32_t scratch, scratch_bytes;
  Output output;
};

struct Weighted {
  uint32_t scores, scores_stride, value, value_stride;
  uint32_t heads, rows, tokens, head_width;
  uint32_t scratch, scratch_bytes;
  Output output;
};

struct Transpose {
  uint32_t src, batches, rows, columns, batch_stride, src_stride;
  Output output;
};

struct Operation {
  Kind kind;
  const char* name;
  union {
    uint32_t raw[30];
    Picture picture;
    Conv conv;
    Slic slic;
    Pool pool;
    LayerNorm layer_norm;
    Attention attention;
    BinaryOp binary;
    UnaryOp unary;
    Mean mean;
    Scores scores;
    Weighted weighted;
    Transpose transpose;
  };
};
static_assert(sizeof(Conv) <= 30 * sizeof(uint32_t), "arguments of an operation are 30 numbers");

// Why a file was refused.
struct Refusal {
  int status = 0;  // an edgevit_status; 0: it was not
  std::string reason;
};

struct Plan {
  const uint8_t* file = nullptr;
  uint64_t file_bytes = 0;
  uint32_t arena_bytes = 0, height = 0, width = 0, logits = 0, classes = 0;
  uint32_t map = kNone, map_rows = 0, map_columns = 0;
  std::vector<Operation> operations;

  bool has_map() const { return map != kNone; }
};

const char* kind_name(Kind kind);

// Reads a plan from the bytes of a file, which must stay; everything that an operation will touch
// is checked to lie inside the file or the arena.
Refusal read_plan(const uint8_t* bytes, uint64_t size, Plan& plan);

// Checks one operation; in check.cc.
Refusal check_operation(const Plan& plan, const Operation& operation);

// Multiply-adds, or what takes as long, of a checked operation: strides of zero make much of little.
double work_of(const Plan& plan, const Operation& operation);

uint32_t crc32(const uint8_t* bytes, uint64_t size);

}  // namespace edgevit
