#include "slic_tables.h"

#include <cmath>

namespace edgevit {
namespace {

// The constants of edgevit/zoo/slic.py, which says what they are.
constexpr double kLightLevels = 4096, kXyzLevels = 1024, kFLevels = 2048, kLabLevels = 4;
constexpr double kLinearLight[] = {0.008773176092511747, 0.04681307431133926, 0.7375567457809078,
                                   0.47299273965935523};
constexpr double kFOfRoot[] = {-0.8267, 1.3887538249028275, -0.5001457211393022,
                               0.29433453401621573};

}  // namespace

SlicTables::SlicTables(const Slic& op) {
  const SlicShape& shape = op.shape;
  const double full = static_cast<double>(shape.cell_px) * shape.cell_px * 255;
  const double full_root = std::pow(kLightLevels * kXyzLevels, 0.25);
  for (int power = 0; power < 4; ++power) {
    const double half = power == 0 ? 0.5 : 0.0;  // its floor then rounds to nearest
    light[power] = static_cast<float>(kLightLevels * kLinearLight[power] / std::pow(full, power) + half);
    f[power] = static_cast<float>(kFLevels * kFOfRoot[power] / std::pow(full_root, power));
  }
  const double spacing = shape.side() / std::sqrt(static_cast<double>(shape.superpixels()));
  const double scale = kLabLevels * static_cast<double>(op.compactness) / spacing;
  const double middle = (shape.side() - 1) / 2.0;
  const bool coarse = op.coarse_iterations > 0;
  const uint64_t side = shape.side();
  for (uint32_t cell = 0; cell < shape.cells(); ++cell) {
    const uint32_t patch = cell / shape.patch_cells(), inside = cell % shape.patch_cells();
    const uint64_t y = patch / shape.patches_per_side() * shape.patch_side() + inside / shape.patch_side();
    const uint64_t x = patch % shape.patches_per_side() * shape.patch_side() + inside % shape.patch_side();
    raster.push_back(static_cast<uint32_t>(y * side + x));
    place_y.push_back(static_cast<float>(std::floor((static_cast<double>(y) - middle) * scale)));
    place_x.push_back(static_cast<float>(std::floor((static_cast<double>(x) - middle) * scale)));
    // Where there are coarse rounds the start is on coarse cells, one for every even row and column.
    if (coarse && (y % 2 || x % 2)) continue;
    const uint64_t twice_y = 2 * y + (coarse ? 2 : 1), twice_x = 2 * x + (coarse ? 2 : 1);
    seed.push_back(static_cast<uint32_t>(twice_y * shape.grid_rows / (2 * side) * shape.grid_columns +
                                         twice_x * shape.grid_columns / (2 * side)));
  }
}

}  // namespace edgevit
