"""SLIC as one would write it down: numpy, float64, one picture, one cell after another in mind.

It shares the geometry's definitions with the package and none of its arithmetic tricks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgevit.slic import F_OF_ROOT, LAB_FROM_F, LINEAR_LIGHT, WHITE_XYZ_FROM_RGB, SlicGeometry

Float64 = NDArray[np.float64]


def features(picture: NDArray[np.uint8], geometry: SlicGeometry) -> Float64:
    """Colour and scaled place of every cell, [cells, 5], patch-major; picture [H, W, 3]."""
    side, cell = geometry.cells_per_side, geometry.cell_px
    rgb = picture.astype(np.float64).reshape(side, cell, side, cell, 3).mean((1, 3)) / 255
    light = sum(c * rgb**power for power, c in enumerate(LINEAR_LIGHT))
    root = (light @ WHITE_XYZ_FROM_RGB.astype(np.float64).T) ** 0.25
    f = sum(c * root ** (power + 1) for power, c in enumerate(F_OF_ROOT))
    lab = f @ LAB_FROM_F.astype(np.float64).T
    spacing = side / np.sqrt(geometry.superpixels)
    places = (geometry.cell_yx - (side - 1) / 2) * geometry.compactness / spacing
    rows, columns = geometry.cell_yx.T
    return np.concatenate([lab[rows, columns], places], axis=1)


def centres(cells: Float64, assignment: NDArray[np.float32]) -> Float64:
    """Mean features [K, 5] of the cells that an assignment [K, cells] gives each superpixel."""
    count = assignment.sum(1, keepdims=True)
    return np.asarray(assignment.astype(np.float64) @ cells / np.maximum(count, 1))


def distances(cells: Float64, middles: Float64) -> Float64:
    """Squared distances [K, cells]."""
    return np.asarray(((cells[None] - middles[:, None]) ** 2).sum(-1))


def seeds(geometry: SlicGeometry) -> NDArray[np.float32]:
    """Every cell in its block of the seed grid, [K, cells]."""
    rows, columns = geometry.grid
    side = geometry.cells_per_side
    labels = [(y * rows // side) * columns + x * columns // side for y, x in geometry.cell_yx]
    return np.eye(geometry.superpixels, dtype=np.float32)[labels].T


def slic(picture: NDArray[np.uint8], geometry: SlicGeometry, rounds: int) -> NDArray[np.float32]:
    """The assignment [K, cells] after some rounds; an exact tie belongs to all who tie."""
    cells, assignment = features(picture, geometry), seeds(geometry)
    for _ in range(rounds):
        squared = distances(cells, centres(cells, assignment))
        assignment = (squared == squared.min(0)).astype(np.float32)
    return assignment


def ties(
    picture: NDArray[np.uint8],
    geometry: SlicGeometry,
    before: NDArray[np.float32],
    within: float = 1e-5,
) -> NDArray[np.bool_]:
    """Cells [cells] whose two nearest centres, after ``before``, tie within a share.

    The share is of the size of the numbers that a squared distance is a difference of.
    """
    cells = features(picture, geometry)
    middles = centres(cells, before)
    nearest = np.sort(distances(cells, middles), axis=0)
    size = (cells**2).sum(1) + (middles**2).sum(1).max() + 1
    return np.asarray((nearest[1] - nearest[0]) / size < within)
