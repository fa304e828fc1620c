// The constants of a quantized depthwise convolution in the order in which they are used: made once,
// when a model is opened.
#pragma once

#include <cstdint>
#include <vector>

#include "plan.h"

namespace edgevit {

constexpr uint32_t kMixedRows = 5;  // of results, that are computed together

// All are padded with zeros to whole panels of 16 channels.
struct DepthwiseTables {
  uint32_t quads = 0;           // of a column of the kernel: four of its taps each
  std::vector<int8_t> weights;  // [panels][kernel_w][quads][16][4]
  std::vector<float> scales, bias;
  std::vector<int32_t> sums;

  DepthwiseTables() = default;
  DepthwiseTables(const Plan& plan, const Conv& op);

  // Columns of a padded map that one row of results sees.
  static uint32_t columns(const Conv& op) { return (op.out_width - 1) * op.stride_w + op.kernel_w; }

  // Memory for 16 channels of what kMixedRows of them see, in numbers.
  static size_t mixed_numbers(const Conv& op) {
    return kMixedRows * size_t{columns(op)} * ((op.kernel_h + 3) / 4) * 4 * kPanel;
  }
};

}  // namespace edgevit
