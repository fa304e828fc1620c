"""Superpixels in the graph: SLIC on cells, and pooling of patches by superpixel.

These two functions are the torch meaning of the custom ops ``edgevit::SuperpixelSlic`` and
``edgevit::SuperpixelPool``; under ONNX export each becomes one node. Everything is float32 with
autocast off (bfloat16 would move 11 % of the cells at K=16, 24 % at K=49), and all sums are of
whole numbers (:mod:`edgevit.zoo.slic`), so every runtime finds the same superpixels.
Nothing here has parameters; a gradient only passes through the means of the pooled values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgevit.zoo.slic import (
    HALF,
    LAB_FROM_F,
    OFF_WHOLE,
    WHITE_XYZ_FROM_RGB,
    f_coefficients,
    light_coefficients,
)
from edgevit.zoo.spec import LlaSpec

CUSTOM_OP_VERSION = 1

# What torch.onnx.ops takes as an attribute; ours are ints and a float.
_Attribute = (
    int | float | str | bool | Sequence[int] | Sequence[float] | Sequence[str] | Sequence[bool]
)


class Pooled(NamedTuple):
    """What pooling gives, all float32.

    means: [B, K, C] mean of what was pooled over the patches of every superpixel; zeros where it
        has no patch.
    occupied: [B, K] 1 where a superpixel has a patch, else 0.
    centroids: [B, K, 2] mean (y, x) of a superpixel's cells, in patches from the image centre.
    membership: [B, K, N] which superpixel a patch belongs to: one-hot, or with soft pooling the
        share of the patch that each superpixel covers.
    """

    means: Tensor
    occupied: Tensor
    centroids: Tensor
    membership: Tensor


def horner(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """c0 + c1 x + c2 x^2 + ..."""
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        result = result * x + coefficient
    return result


def _mean_of_members(membership: Tensor, members: Tensor, values: Tensor) -> Tensor:
    """Mean of the values [B, N, C] of every superpixel's patches, [B, K, C]; zeros without any.

    ``members`` [B, K, 1] are the sums of ``membership`` [B, K, N] over the patches.
    """
    return membership @ values / torch.where(members > 0, members, 1.0)


class Superpixels(nn.Module):
    """SLIC and SPPP pooling for one image size; holds the constants and no parameters."""

    strip_to_cells: Tensor
    position_features: Tensor
    seed_assignment: Tensor
    centroid_features: Tensor
    cells_to_coarse: Tensor
    white_xyz_from_rgb: Tensor
    lab_from_f: Tensor

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.geometry = geometry = spec.geometry
        constants = {
            "strip_to_cells": geometry.strip_to_cells,
            "position_features": geometry.position_features,
            "seed_assignment": geometry.seed_assignment(
                spec.has_superpixels and spec.superpixels.coarse_iterations > 0
            ),
            "centroid_features": geometry.centroid_features,
            "white_xyz_from_rgb": WHITE_XYZ_FROM_RGB,
            "lab_from_f": LAB_FROM_F,
        }
        if spec.superpixels.coarse_iterations:
            constants["cells_to_coarse"] = geometry.cells_to_coarse
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(value.copy()), persistent=False)

    @torch.no_grad()
    def assign(self, patches: Tensor) -> Tensor:
        """Raw patch rows, float32 [B, N, P*P*3] (0..255), to float32 [B, K, cells].

        1 where a cell belongs to a superpixel; a cell at equal distance from two centres belongs
        to both. With ``squares`` the blocks of the seed grid, whatever the picture.
        """
        if not self.spec.has_superpixels:
            return self.seed_assignment.expand(patches.shape[0], -1, -1)
        if torch.onnx.is_in_onnx_export():
            return self._slic_node(patches)
        with torch.autocast(patches.device.type, enabled=False):
            return self.slic(patches.float())

    def pool(self, values: Tensor, assignment: Tensor) -> Pooled:
        """Means over the superpixels of values of the patches [B, N, C]."""
        if torch.onnx.is_in_onnx_export() and self.spec.has_superpixels:
            return self._pool_node(values, assignment)
        with torch.autocast(values.device.type, enabled=False):
            return self._pooled(values.float(), assignment)

    def features(self, patches: Tensor) -> Tensor:
        """CIELAB colour and scaled place of every cell, and a half: float32 [B, 6, cells].

        All but the halves are whole numbers; see :mod:`edgevit.zoo.slic` for their units.
        """
        batch, geometry = patches.shape[0], self.geometry
        strips = patches.reshape(-1, self.strip_to_cells.shape[0])
        rgb = (strips @ self.strip_to_cells).reshape(batch, geometry.cells, 3).transpose(1, 2)
        light = horner(rgb, light_coefficients(geometry.cell_px)).floor()
        # torch's own float32 root may be off by a rounding (MKL); by way of float64 it is not.
        xyz = (self.white_xyz_from_rgb @ light).double()
        root = xyz.sqrt().float().double().sqrt().float()
        f = horner(root, f_coefficients()).floor()
        lab = (self.lab_from_f @ f).floor()
        return torch.cat([lab, self.position_features.expand(batch, -1, -1)], dim=1)

    def coarse_features(self, features: Tensor) -> Tensor:
        """Sums of the features of 2x2 cells: float32 [B, 6, cells / 4].

        The halves are summed too, so means and distances come out as those of the cells.
        """
        by_patch = features.reshape(-1, self.geometry.cells_per_patch)
        return (by_patch @ self.cells_to_coarse).reshape(*features.shape[:2], -1)

    def slic(self, patches: Tensor) -> Tensor:
        """Raw patch rows to the assignment of cells, float32 [B, K, cells]."""
        superpixels = self.spec.superpixels
        features = self.features(patches)
        coarse = self.coarse_features(features) if superpixels.coarse_iterations else features
        current = coarse
        assignment = self.seed_assignment.expand(patches.shape[0], -1, -1)
        centres: Tensor | None = None
        for i in range(superpixels.iterations):
            sums = assignment @ current.transpose(1, 2)  # [B, K, 6], the last: half the cells
            # In half the features' unit. No cells: a zero, mid-grey in the middle.
            means = ((sums[..., :5] + OFF_WHOLE) / sums[..., 5:].clamp_min(HALF)).floor()
            if centres is not None:
                ahead, back = superpixels.relaxation, superpixels.relaxation - 1
                means = (means * ahead - centres * back).floor()
            centres = means
            current = coarse if i < superpixels.coarse_iterations else features
            # |f - c/2|^2 = |f|^2 + (|c|^2 / 2 - 2 c.f) / 2, and |f|^2 is the same for all centres.
            planes = torch.cat([-2 * centres, centres.square().sum(-1, keepdim=True)], dim=-1)
            distances = planes @ current
            assignment = (distances == distances.amin(dim=1, keepdim=True)).float()
        return assignment

    def _pooled(self, values: Tensor, assignment: Tensor) -> Pooled:
        """Means over the member patches, weighted by the overlap if it is soft (SPPP, eq. 5)."""
        geometry = self.geometry
        batch, count = assignment.shape[:2]
        overlap = assignment.reshape(batch, count, geometry.patches, -1).sum(-1)
        if self.spec.pooling == "soft":
            membership = overlap / geometry.cells_per_patch
        else:
            membership = self._largest(overlap)
        members = membership.sum(-1, keepdim=True)
        places = assignment @ self.centroid_features  # sums of y and x, and the number of cells
        return Pooled(
            means=_mean_of_members(membership, members, values),
            occupied=(members > 0).float().squeeze(-1),
            centroids=places[..., :2] / places[..., 2:].clamp_min(1.0),
            membership=membership,
        )

    @staticmethod
    def _largest(overlap: Tensor) -> Tensor:
        """One-hot of the largest overlap, and of equals of the lowest label, along dim 1.

        Whole counts, less a fraction that grows with the label, never tie.
        """
        count = overlap.shape[1]
        handicap = torch.arange(count, device=overlap.device, dtype=overlap.dtype) / count
        rank = overlap - handicap[:, None]
        return (rank == rank.amax(dim=1, keepdim=True)).float()

    def label_map(self, assignment: Tensor) -> Tensor:
        """Assignment [B, K, cells] to the picture's labels, int32 [B, rows, columns] of cells.

        A cell of two superpixels (an exact tie) shows the lower label.
        """
        patches, cells = self.geometry.patches_per_side, self.geometry.cells_per_patch_side
        labels = assignment.argmax(dim=1).to(torch.int32)
        blocks = labels.reshape(-1, patches, patches, cells, cells).transpose(2, 3)
        return blocks.reshape(-1, patches * cells, patches * cells)

    def attributes(self) -> dict[str, _Attribute]:
        """What both nodes carry, for whoever implements a kernel."""
        superpixels = self.spec.superpixels
        return {
            "image_px": self.spec.image_px,
            "patch_px": self.spec.patch_px,
            "cell_px": superpixels.cell_px,
            "grid_rows": superpixels.grid[0],
            "grid_columns": superpixels.grid[1],
            "iterations": superpixels.iterations,
            "coarse_iterations": superpixels.coarse_iterations,
            "compactness": float(superpixels.compactness),
            "relaxation": float(superpixels.relaxation),
            "soft": int(self.spec.pooling == "soft"),
        }

    def _slic_node(self, patches: Tensor) -> Tensor:
        node: Tensor = torch.onnx.ops.symbolic(
            "edgevit::SuperpixelSlic",
            (patches,),
            attrs=self.attributes(),
            dtype=torch.float32,
            shape=(patches.shape[0], self.geometry.superpixels, self.geometry.cells),
            version=CUSTOM_OP_VERSION,
        )
        return node

    def _pool_node(self, values: Tensor, assignment: Tensor) -> Pooled:
        batch, count = values.shape[0], self.geometry.superpixels
        outputs = torch.onnx.ops.symbolic_multi_out(
            "edgevit::SuperpixelPool",
            (values, assignment),
            attrs=self.attributes(),
            dtypes=[torch.float32] * 4,
            shapes=[
                (batch, count, values.shape[2]),
                (batch, count),
                (batch, count, 2),
                (batch, count, self.geometry.patches),
            ],
            version=CUSTOM_OP_VERSION,
        )
        return Pooled(*outputs)
