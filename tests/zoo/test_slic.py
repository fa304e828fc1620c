"""The constants of SLIC mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgevit.models.layers import patch_rows
from edgevit.models.superpixel.superpixels import Superpixels
from edgevit.zoo.slic import LAB_LEVELS, SlicGeometry
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec


def superpixels(
    grid: tuple[int, int] = (4, 4), image_px: int = 224, patch_px: int = 16
) -> Superpixels:
    spec = LlaSpec(
        "test",
        192,
        3,
        1,
        image_px=image_px,
        patch_px=patch_px,
        superpixels=SuperpixelSpec(grid, min(4, patch_px // 2)),
    )
    return Superpixels(spec)


def test_polynomial_cielab_is_within_its_stated_error() -> None:
    """Every colour of a 32-step cube as one flat patch; a patch's cells have its colour."""
    steps = np.linspace(0, 255, 32)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    colours = np.resize(colours, (168 * 196, 3)).reshape(168, 196, 3)
    patches = torch.from_numpy(np.repeat(colours[:, :, None], 256, axis=2).reshape(168, 196, 768))
    from skimage.color import rgb2lab

    op = superpixels()
    ours = torch.cat([op.features(p[None].float())[:, :3, ::16] for p in patches])
    ours = ours.transpose(1, 2).numpy()
    exact = rgb2lab(colours / 255)
    shift = (ours / LAB_LEVELS - exact).reshape(-1, 3)
    shift -= np.median(shift, axis=0)  # a constant cancels in every difference of two colours
    error = np.linalg.norm(shift, axis=1)
    assert error.mean() < 0.8
    assert error.max() < 3.5


def test_cells_are_sums_of_their_pixels(photo_batch: np.ndarray) -> None:
    op = superpixels(image_px=160)
    patches = patch_rows(torch.from_numpy(photo_batch), 16)
    strips = patches.reshape(-1, op.strip_to_cells.shape[0]) @ op.strip_to_cells
    cells = strips.reshape(len(photo_batch), -1, 3).numpy()
    rows, columns = op.geometry.cell_yx.T
    sums = photo_batch.reshape(-1, 40, 4, 40, 4, 3).sum((2, 4), dtype=np.float32)
    np.testing.assert_array_equal(cells, sums[:, rows, columns])


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (4, 4), (7, 7)])
def test_every_cell_starts_in_one_superpixel(grid: tuple[int, int], coarse: bool) -> None:
    seeds = SlicGeometry(224, 16, 4, grid, 10.0).seed_assignment(coarse)
    assert seeds.shape == (grid[0] * grid[1], 784 if coarse else 3136)
    assert (seeds.sum(0) == 1).all()
    assert (seeds.sum(1) > 0).all()


def test_superpixels_follow_a_colour_edge() -> None:
    """A picture of two colours, split off the grid: no superpixel has cells of both."""
    picture = np.full((1, 224, 224, 3), 40, np.uint8)
    picture[:, :, 132:] = 220
    op = superpixels()
    assignment = op.assign(patch_rows(torch.from_numpy(picture), 16))
    right = np.moveaxis(picture[0, 2::4, 2::4, :1], -1, 0)[0] == 220
    labels = op.label_map(assignment)[0].numpy()
    for label in np.unique(labels):
        assert right[labels == label].mean() in (0, 1)
