"""SLIC as one would write it down: numpy, one picture, float64.

It shares the geometry's definitions and the coefficients with the package and none of its tricks.
Colour is float32, element by element: there the definition is the arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgevit.zoo.slic import (
    LAB_FROM_F,
    LAB_LEVELS,
    WHITE_XYZ_FROM_RGB,
    SlicGeometry,
    f_coefficients,
    light_coefficients,
)
from edgevit.zoo.spec import LlaSpec

Float64 = NDArray[np.float64]


def polynomial(x: NDArray[np.float32], coefficients: tuple[float, ...]) -> NDArray[np.float32]:
    """Horner's scheme in float32."""
    result = x * np.float32(coefficients[-1])
    for coefficient in reversed(coefficients[1:-1]):
        result = (result + np.float32(coefficient)) * x
    return np.asarray(result + np.float32(coefficients[0]), np.float32)


def features(picture: NDArray[np.uint8], geometry: SlicGeometry) -> Float64:
    """Colour and scaled place of every cell in quarter units, [cells, 5]; picture [H, W, 3]."""
    side, cell = geometry.cells_per_side, geometry.cell_px
    sums = picture.astype(np.float64).reshape(side, cell, side, cell, 3).sum((1, 3))
    light = np.floor(polynomial(sums.astype(np.float32), light_coefficients(cell)))
    xyz = light.astype(np.float64) @ WHITE_XYZ_FROM_RGB.astype(np.float64).T
    root = np.sqrt(np.sqrt(xyz.astype(np.float32)))
    f = np.floor(polynomial(root, f_coefficients()))
    lab = np.floor(f.astype(np.float64) @ LAB_FROM_F.astype(np.float64).T)
    spacing = side / np.sqrt(geometry.superpixels)
    centred = geometry.cell_yx - (side - 1) / 2
    places = np.floor(centred * (LAB_LEVELS * geometry.compactness / spacing))
    rows, columns = geometry.cell_yx.T
    return np.concatenate([lab[rows, columns], places], axis=1)


def slic(picture: NDArray[np.uint8], spec: LlaSpec) -> NDArray[np.float32]:
    """The assignment [K, cells]; a tie belongs to all who tie."""
    geometry, superpixels = spec.geometry, spec.superpixels
    cells, yx = features(picture, geometry), geometry.cell_yx
    blocks = coarse_cells(geometry)
    coarse = cells[blocks].sum(1) / 4  # [cells / 4, 5]
    coarse_yx = yx[blocks].mean(1)
    start_yx = coarse_yx if superpixels.coarse_iterations else yx
    assignment = seeds(start_yx, geometry)
    before = coarse if superpixels.coarse_iterations else cells
    eighths = None  # centres are kept in eighths, features in quarters
    for i in range(superpixels.iterations):
        after = coarse if i < superpixels.coarse_iterations else cells
        count = assignment.sum(1, keepdims=True)
        means = assignment.astype(np.float64) @ before / np.maximum(count, 1)
        target = np.floor(2 * means)
        step = 1.0 if eighths is None else superpixels.relaxation
        start = target if eighths is None else eighths
        eighths = np.floor(start + step * (target - start))
        squared = ((2 * after[None] - eighths[:, None]) ** 2).sum(-1)
        assignment = (squared == squared.min(0)).astype(np.float32)
        before = after
    return assignment


def coarse_cells(geometry: SlicGeometry) -> NDArray[np.int64]:
    """The four cells of every block of 2x2, [cells / 4, 4], patch by patch, row by row."""
    index = {tuple(yx): i for i, yx in enumerate(geometry.cell_yx.tolist())}
    blocks = []
    for (y, x), i in index.items():
        if y % 2 == 0 and x % 2 == 0:
            blocks.append([i, index[y, x + 1], index[y + 1, x], index[y + 1, x + 1]])
    return np.array(blocks)


def seeds(yx: NDArray[np.floating], geometry: SlicGeometry) -> NDArray[np.float32]:
    """Every cell, of which yx is the middle, in its block of the seed grid: [K, cells]."""
    rows, columns = geometry.grid
    side = geometry.cells_per_side
    labels = [
        int((y + 0.5) * rows // side) * columns + int((x + 0.5) * columns // side) for y, x in yx
    ]
    return np.eye(geometry.superpixels, dtype=np.float32)[labels].T


def pool(
    picture: NDArray[np.uint8], geometry: SlicGeometry, assignment: NDArray[np.float32]
) -> tuple[Float64, NDArray[np.int64]]:
    """Mean patch [K, P*P*3] of every superpixel, and the superpixel [N] of every patch."""
    n, patch = geometry.patches_per_side, geometry.patch_px
    patches = picture.reshape(n, patch, n, patch, 3).swapaxes(1, 2).reshape(n * n, -1)
    overlap = assignment.reshape(geometry.superpixels, n * n, -1).sum(-1)
    owner = overlap.argmax(0)  # numpy's argmax is the lowest label of largest overlap
    rows = np.zeros((geometry.superpixels, patches.shape[1]))
    for label in np.unique(owner):
        rows[label] = patches[owner == label].mean(0)
    return rows, owner
