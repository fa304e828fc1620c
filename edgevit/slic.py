"""The constants of edgevit's SLIC: one meaning for the torch model, the ONNX body and any kernel.

SLIC (Achanta et al., 2012) runs on *cells*, square blocks of pixels, in CIELAB colour plus
position. Cells are stored patch by patch (*patch-major*: first the patch, then the cell inside
it), so that counting the cells of a patch is a sum over neighbours in memory.

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
# over the RGB cube; against the exact formula the colour differs by 0.63 on average and by 2.9 at
# most (in L*a*b* units, where 2.3 is a just noticeable difference). The constant terms keep the
# root's argument positive and cancel in every difference of two colours.
LINEAR_LIGHT = (0.008773176092511747, 0.04681307431133926, 0.7375567457809078, 0.47299273965935523)
F_OF_ROOT = (1.3887538249028275, -0.5001457211393022, 0.29433453401621573)  # no constant term
_XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_D65_WHITE = np.array([0.95047, 1.0, 1.08883])
WHITE_XYZ_FROM_RGB: Float32Array = (_XYZ_FROM_RGB / _D65_WHITE[:, None]).astype(np.float32)
LAB_FROM_F: Float32Array = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]], np.float32)


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
        """Averages a strip of a patch into cells and scales 0..255 to 0..1.

        A patch row of ``P * P * 3`` values is ``P / cell_px`` strips of ``cell_px`` pixel rows, so
        ``strips [.., cell_px * P * 3] @ this [cell_px * P * 3, cells_per_patch_side * 3]`` gives
        the RGB of a strip's cells from left to right.
        """
        pixel_y, pixel_x, channel = np.meshgrid(
            np.arange(self.cell_px), np.arange(self.patch_px), np.arange(3), indexing="ij"
        )
        matrix = np.zeros((self.cell_px * self.patch_px * 3, self.cells_per_patch_side * 3))
        rows = (pixel_y * self.patch_px + pixel_x) * 3 + channel
        matrix[rows, (pixel_x // self.cell_px) * 3 + channel] = 1.0 / (self.cell_px**2 * 255.0)
        return np.asarray(matrix, np.float32)

    @cached_property
    def position_features(self) -> Float32Array:
        """(y, x) times m / S, centred on the image, and a row of ones: float32 [3, cells].

        The ones make the last entry of a sum of features the number of cells summed.
        """
        spacing = self.cells_per_side / np.sqrt(self.superpixels)
        centred = self.cell_yx - (self.cells_per_side - 1) / 2
        scaled = centred * (self.compactness / spacing)
        return np.concatenate([scaled.T, np.ones((1, self.cells))]).astype(np.float32, copy=False)

    @cached_property
    def seed_assignment(self) -> Float32Array:
        """One-hot start: every cell belongs to its block of the seed grid, float32 [K, cells]."""
        rows, columns = self.grid
        block_y = self.cell_yx[:, 0] * rows // self.cells_per_side
        block_x = self.cell_yx[:, 1] * columns // self.cells_per_side
        labels = block_y * columns + block_x
        return np.asarray(labels == np.arange(self.superpixels)[:, None], np.float32)

    @cached_property
    def centroid_features(self) -> Float32Array:
        """(y, x) of every cell in patch units from the image centre: float32 [cells, 2]."""
        centred = self.cell_yx - (self.cells_per_side - 1) / 2
        return (centred / self.cells_per_patch_side).astype(np.float32)

    def raster(self, patch_major: NDArray[np.generic]) -> NDArray[np.generic]:
        """Rearranges a patch-major ``[..., cells]`` array to ``[..., rows, columns]``."""
        n, c = self.patches_per_side, self.cells_per_patch_side
        blocks = patch_major.reshape(*patch_major.shape[:-1], n, n, c, c)
        return np.moveaxis(blocks, -2, -3).reshape(*patch_major.shape[:-1], n * c, n * c)
