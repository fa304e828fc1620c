#include "depthwise_tables.h"

#include <cstring>

namespace edgevit {
namespace {

// `count` constants of a file, and zeros up to `padded` of them.
template <typename T>
std::vector<T> padded_constants(const Plan& plan, uint32_t address, size_t count, size_t padded) {
  std::vector<T> values(padded);
  std::memcpy(values.data(), plan.file + (address & ~kConstant), count * sizeof(T));
  return values;
}

}  // namespace

DepthwiseTables::DepthwiseTables(const Plan& plan, const Conv& op) : quads((op.kernel_h + 3) / 4) {
  const size_t channels = op.channels, padded = (channels + kPanel - 1) / kPanel * kPanel;
  scales = padded_constants<float>(plan, op.scales, channels, padded);
  bias = padded_constants<float>(plan, op.bias, channels, padded);
  sums = padded_constants<int32_t>(plan, op.sums, channels, padded);
  const size_t of_panel = size_t{op.kernel_w} * quads * kPanel * 4;
  weights.resize(padded / kPanel * of_panel);
  // The file has them as [pairs of taps][channels][2].
  const auto* from = reinterpret_cast<const int8_t*>(plan.file + (op.weights & ~kConstant));
  for (uint32_t ky = 0; ky < op.kernel_h; ++ky)
    for (uint32_t kx = 0; kx < op.kernel_w; ++kx) {
      const size_t tap = size_t{ky} * op.kernel_w + kx;
      for (size_t c = 0; c < channels; ++c)
        weights[c / kPanel * of_panel + ((kx * quads + ky / 4) * kPanel + c % kPanel) * 4 + ky % 4] =
            from[(tap / 2 * channels + c) * 2 + tap % 2];
    }
}

}  // namespace edgevit
