// Any processor.
#include "headers.h"

#define EDGEVIT_LANES 8

namespace edgevit {
namespace portable {

#include "vector.h"

constexpr int kRows = 1, kParts = 1, kPartsAtOnce = 1;
constexpr int32_t kInputOffset = 0;

struct Sum { int32_t of[kPanel]; };
struct Input { int32_t of[4]; };
using Weight = const int8_t*;

using Staged = uint8_t;

inline Input broadcast(const Staged* from) { return {{from[0], from[1], from[2], from[3]}}; }
inline Weight load_weights(const int8_t* from, int) { return from; }
inline Sum dot(Sum sum, const Input& input, Weight weight) {
  for (uint32_t n = 0; n < kPanel; ++n)
    for (int k = 0; k < 4; ++k) sum.of[n] += input.of[k] * weight[4 * n + k];
  return sum;
}
inline Sum dot_each(Sum sum, const Staged* inputs, int, Weight weight) {
  for (uint32_t i = 0; i < 4 * kPanel; ++i) sum.of[i / 4] += inputs[i] * weight[i];
  return sum;
}
inline void store_sums(const Sum* sums, int, int32_t* to) { std::memcpy(to, sums->of, sizeof sums->of); }

#include "plain.h"

bool is_usable() { return true; }

#include "all.h"

}  // namespace portable

using namespace portable;
const Kernels kPortable = EDGEVIT_KERNELS("portable", picture, depthwise, slic);

}  // namespace edgevit
