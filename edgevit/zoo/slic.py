"""The constants of edgevit's SLIC: one meaning for the torch model, the ONNX body and any kernel.

SLIC (Achanta et al., 2012) runs on *cells*, square blocks of pixels, in CIELAB colour plus
position. Cells are stored patch by patch (*patch-major*: first the patch, then the cell inside
it), so that counting the cells of a patch is a sum over neighbours in memory. The first rounds may
run on *coarse* cells, blocks of 2x2, at a quarter of the cost: centres settle there, and the last
round draws the borders.

**Whole numbers.** Two runtimes add floats in different orders and round differently, and a cell
that lies between two superpixels then goes either way. So every value that enters a sum is a whole
number, small enough that float32 holds all sums and products exactly (below 2^24), in any order:

    pixel sums            integers up to cell_px^2 * 255
    linear light          floor(polynomial), in 1/4096
    XYZ / white           integer matrix, in 1/(4096 * 1024)
    f                     floor(polynomial of the fourth root), in 1/2048
    L*, a*, b*, y, x      floor, in quarters of a L*a*b* unit; coarse cells have sums of four
    centres               floor(mean), in eighths

What is in between works on one element at a time. IEEE 754 leaves no choice there, but runtimes
take some (OpenVINO both of these), and a floor must not notice:

- They divide by multiplying with a reciprocal, a rounding off: fatal where a mean is a whole
  number, as means of whole numbers often are. So ``OFF_WHOLE`` is added to a sum before it is
  divided. Then a mean of n cells is at least 1/2n away from any whole number, and its floor is
  what it was.
- They fuse a product with the sum it goes into, and round once instead of twice. So the function
  body sets the two apart (``_horner`` in ``edgevit_export.convert.superpixel_op``).

Equal distances are then equal everywhere, and so are the superpixels.

numpy only: importable on a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

# sRGB -> linear light -> XYZ relative to the D65 white -> f(t) -> L*, a*, b*.
# `Pow` costs as much as all distances together, so both curves are polynomials: linear light is a
# cubic in sRGB, f a cubic in the fourth root of t (two square roots). Fitted jointly to CIELAB
# over the RGB cube; against the exact formula the colour differs by 0.65 on average and by 3.3 at
# most (in L*a*b* units, where 2.3 is a just noticeable difference). The constant term of the first
# keeps the root's argument positive, that of the second puts L* = 50 at zero.
_LINEAR_LIGHT = (
    0.008773176092511747,
    0.04681307431133926,
    0.7375567457809078,
    0.47299273965935523,
)
_F_OF_ROOT = (-0.8267, 1.3887538249028275, -0.5001457211393022, 0.29433453401621573)

LIGHT_LEVELS = 4096
XYZ_LEVELS = 1024
F_LEVELS = 2048
LAB_LEVELS = 4  # of one L*a*b* unit
OFF_WHOLE = 0.25  # in the unit of a sum: half a step of the mean that it becomes
HALF = 0.5  # the weight of a cell in a sum: sums divided by it are means in half a feature's unit

# Rows add up to 1024, so that white stays white.
WHITE_XYZ_FROM_RGB: Float32Array = np.array(
    [[445, 385, 194], [218, 732, 74], [18, 112, 894]], np.float32
)
# L* = 116 f(Y), a* = 500 (f(X) - f(Y)), b* = 200 (f(Y) - f(Z)), from F_LEVELS to LAB_LEVELS;
# every entry is a multiple of 1/128, so the products are exact.
LAB_FROM_F: Float32Array = np.array(
    [[0, 116, 0], [500, -500, 0], [0, 200, -200]], np.float32
) * np.float32(LAB_LEVELS / F_LEVELS)


def light_coefficients(cell_px: int) -> tuple[float, ...]:
    """c0, c1, ... of a cell's linear light in 1/LIGHT_LEVELS, from the sum of its pixels' values.

    Flooring the result rounds to nearest: the half is in c0.
    """
    full = cell_px**2 * 255
    scaled = [LIGHT_LEVELS * c / full**power for power, c in enumerate(_LINEAR_LIGHT)]
    return tuple(float(np.float32(c)) for c in (scaled[0] + 0.5, *scaled[1:]))


def f_coefficients() -> tuple[float, ...]:
    """c0, c1, ... of f in 1/F_LEVELS, from the fourth root of XYZ in 1/(LIGHT * XYZ)_LEVELS."""
    full = (LIGHT_LEVELS * XYZ_LEVELS) ** 0.25
    scaled = [F_LEVELS * c / full**power for power, c in enumerate(_F_OF_ROOT)]
    return tuple(float(np.float32(c)) for c in scaled)


@dataclass(frozen=True)
class SlicGeometry:
    """Everything about a SLIC problem that does not depend on the pixels.

    Args:
        image_px: side of the square image, in pixels.
        patch_px: side of a patch, in pixels; divides ``image_px``.
        cell_px: side of a cell, in pixels; divides ``patch_px``.
        grid: rows and columns of the seed grid; K is their product.
        compactness: m of the distance ``d_lab^2 + (m / S)^2 d_xy^2``.
    """

    image_px: int
    patch_px: int
    cell_px: int
    grid: tuple[int, int]
    compactness: float

    @property
    def superpixels(self) -> int:
        """K."""
        return self.grid[0] * self.grid[1]

    @property
    def patches_per_side(self) -> int:
        return self.image_px // self.patch_px

    @property
    def patches(self) -> int:
        """N."""
        return self.patches_per_side**2

    @property
    def cells_per_patch_side(self) -> int:
        return self.patch_px // self.cell_px

    @property
    def cells_per_patch(self) -> int:
        return self.cells_per_patch_side**2

    @property
    def cells_per_side(self) -> int:
        return self.image_px // self.cell_px

    @property
    def cells(self) -> int:
        return self.cells_per_side**2

    @cached_property
    def cell_yx(self) -> NDArray[np.int64]:
        """Row and column of every cell, int64 [cells, 2], patch-major."""
        n, c = self.patches_per_side, self.cells_per_patch_side
        patch_y, patch_x, cell_y, cell_x = np.meshgrid(
            np.arange(n), np.arange(n), np.arange(c), np.arange(c), indexing="ij"
        )
        rows, columns = patch_y * c + cell_y, patch_x * c + cell_x
        return np.stack([rows.ravel(), columns.ravel()], axis=1)

    @cached_property
    def strip_to_cells(self) -> Float32Array:
        """Adds up the pixels of every cell of a strip: zeros and ones.

        A patch row of ``P * P * 3`` values is ``P / cell_px`` strips of ``cell_px`` pixel rows, so
        ``strips [.., cell_px * P * 3] @ this [cell_px * P * 3, cells_per_patch_side * 3]`` gives
        the RGB sums of a strip's cells from left to right.
        """
        pixel_y, pixel_x, channel = np.meshgrid(
            np.arange(self.cell_px), np.arange(self.patch_px), np.arange(3), indexing="ij"
        )
        shape = (self.cell_px * self.patch_px * 3, self.cells_per_patch_side * 3)
        matrix = np.zeros(shape, np.float32)
        rows = (pixel_y * self.patch_px + pixel_x) * 3 + channel
        matrix[rows, (pixel_x // self.cell_px) * 3 + channel] = 1.0
        return matrix

    @cached_property
    def position_features(self) -> Float32Array:
        """(y, x) times m / S in 1/LAB_LEVELS, from the image centre, and a row of halves.

        float32 [3, cells]. The halves make the last entry of a sum of features half the number of
        cells summed.
        """
        spacing = self.cells_per_side / np.sqrt(self.superpixels)
        centred = self.cell_yx - (self.cells_per_side - 1) / 2
        scaled = np.floor(centred * (LAB_LEVELS * self.compactness / spacing))
        return np.concatenate([scaled.T, np.full((1, self.cells), HALF)]).astype(np.float32)

    @cached_property
    def cells_to_coarse(self) -> Float32Array:
        """Adds up the 2x2 cells of every coarse cell of a patch: zeros and ones.

        float32 [cells_per_patch, cells_per_patch / 4].
        """
        side = self.cells_per_patch_side
        y, x = np.divmod(np.arange(self.cells_per_patch), side)
        coarse = (y // 2) * (side // 2) + x // 2
        return np.asarray(coarse[:, None] == np.arange(self.cells_per_patch // 4), np.float32)

    def seed_assignment(self, coarse: bool) -> Float32Array:
        """One-hot start: every cell belongs to its block of the seed grid.

        float32 [K, cells], or with ``coarse`` [K, cells / 4].
        """
        rows, columns = self.grid
        if coarse:  # a coarse cell is where its first cell is, and one cell wider
            first = self.cells_to_coarse.argmax(0)
            by_patch = self.cell_yx.reshape(self.patches, self.cells_per_patch, 2)
            middles = 2 * by_patch[:, first].reshape(-1, 2) + 2
        else:
            middles = 2 * self.cell_yx + 1
        block_y, block_x = (middles * (rows, columns) // (2 * self.cells_per_side)).T
        labels = block_y * columns + block_x
        return np.asarray(labels == np.arange(self.superpixels)[:, None], np.float32)

    @cached_property
    def centroid_features(self) -> Float32Array:
        """(y, x) of every cell in patches from the image centre, and a one: float32 [cells, 3]."""
        centred = (self.cell_yx - (self.cells_per_side - 1) / 2) / self.cells_per_patch_side
        return np.concatenate([centred, np.ones((self.cells, 1))], axis=1).astype(np.float32)
