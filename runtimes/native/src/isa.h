// The instruction sets of this library, the fastest first.
#pragma once

#include "kernels/kernels.h"

namespace edgevit {

const Kernels* isa_at(uint32_t place);       // nullptr past the end
const Kernels* choose_isa(const char* name); // the fastest usable one, or the named one if usable

}  // namespace edgevit
