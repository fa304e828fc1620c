// What SLIC needs to know of a shape: computed once, when a model is opened.
#pragma once

#include <cstdint>
#include <vector>

#include "plan.h"

namespace edgevit {

struct SlicTables {
  float light[4], f[4];            // coefficients of the two polynomials, lowest first
  std::vector<float> place_y, place_x;  // of every cell, patch by patch
  std::vector<uint32_t> seed;      // the superpixel that a cell (or coarse cell) starts in
  std::vector<uint32_t> raster;    // where a cell lies in the map

  SlicTables() = default;
  explicit SlicTables(const Slic& op);
};

}  // namespace edgevit
