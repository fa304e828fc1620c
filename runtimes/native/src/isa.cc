#include "isa.h"

#include <cstring>

namespace edgevit {
namespace {

const Kernels* const kSets[] = {
#if defined(__x86_64__)
    &kAvx512Vnni,
#if !defined(EDGEVIT_NO_AVX_VNNI)
    &kAvxVnni,
#endif
    &kAvx2,
#elif defined(__aarch64__)
    &kNeonDot, &kNeon,
#endif
    &kPortable,
};
constexpr uint32_t kCount = sizeof kSets / sizeof kSets[0];

}  // namespace

const Kernels* isa_at(uint32_t place) { return place < kCount ? kSets[place] : nullptr; }

const Kernels* choose_isa(const char* name) {
  for (const Kernels* set : kSets)
    if ((name == nullptr || std::strcmp(name, set->name) == 0) && set->usable()) return set;
  return nullptr;
}

}  // namespace edgevit
