"""The custom ops ``edgevit::SuperpixelSlic`` and ``edgevit::SuperpixelPool`` in ONNX.

Each is one node in the graph, and the model carries its body as a local function of standard ops:
ONNX Runtime and TensorRT's parser inline the body, a person sees one node, and a kernel registered
under the same name may replace it. The bodies state what
``edgevit.models.superpixel.superpixels`` states in torch;
``tests/convert/test_superpixel_op.py`` holds the two together.

A body is written for one geometry: its loops are unrolled and its tables are constants. The node's
attributes repeat the geometry for whoever implements a kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

from edgevit.zoo.slic import (
    HALF,
    LAB_FROM_F,
    OFF_WHOLE,
    WHITE_XYZ_FROM_RGB,
    SlicGeometry,
    f_coefficients,
    light_coefficients,
)
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec

DOMAIN = "edgevit"
DOMAIN_VERSION = 1
BODY_OPSET = 18
SLIC_OP = "SuperpixelSlic"
POOL_OP = "SuperpixelPool"

_Constant = NDArray[Any] | np.float32

_HEADER = '<domain: "edgevit", opset_import: ["" : {opset}]>'
_ATTRIBUTES = (
    "<image_px, patch_px, cell_px, grid_rows, grid_columns, "
    "iterations, coarse_iterations, compactness, relaxation, soft>"
)


def superpixel_functions(spec: LlaSpec) -> list[onnx.FunctionProto]:
    """The bodies of both ops for a model."""
    return [
        slic_function(spec.geometry, spec.superpixels),
        pool_function(spec.geometry, spec.pooling == "soft"),
    ]


def slic_function(geometry: SlicGeometry, superpixels: SuperpixelSpec) -> onnx.FunctionProto:
    """patches float32 [B, N, P*P*3] (0..255) to assignment float32 [B, K, cells]."""
    coarse = superpixels.coarse_iterations > 0
    constants: dict[str, _Constant] = {
        "strip_shape": np.array([-1, geometry.strip_to_cells.shape[0]]),
        "strip_to_cells": geometry.strip_to_cells,
        "cell_shape": np.array([-1, geometry.cells, 3]),
        "white_xyz_from_rgb": WHITE_XYZ_FROM_RGB,
        "lab_from_f": LAB_FROM_F,
        "position": geometry.position_features[None],
        "position_shape": np.array(geometry.position_features.shape),
        "seeds": geometry.seed_assignment(coarse)[None],
        "lowest": np.float32(-(2**24)),
        "half": np.float32(HALF),
        "off_whole": np.float32(OFF_WHOLE),
        "minus_two": np.float32(-2),
        "relaxation_by": np.float32(superpixels.relaxation),
        "relaxation_back": np.float32(superpixels.relaxation - 1),
        "axis_superpixel": np.array([1]),
        "axis_feature": np.array([2]),
        "features_and_count": np.array([5, 1]),
    }
    light, light_constants = _horner("rgb", "light_exact", light_coefficients(geometry.cell_px))
    f, f_constants = _horner("root", "f_exact", f_coefficients())
    constants |= light_constants | f_constants
    coarsen = ""
    if coarse:
        coarsen, coarse_constants = _coarsen(geometry)
        constants |= coarse_constants
    body = f"""
    strips = Reshape (patches, strip_shape)
    strip_cells = MatMul (strips, strip_to_cells)
    cells = Reshape (strip_cells, cell_shape)
    rgb = Transpose <perm = [0, 2, 1]> (cells)
    {light}
    light = Floor (light_exact)
    xyz = MatMul (white_xyz_from_rgb, light)
    square_root = Sqrt (xyz)
    root = Sqrt (square_root)
    {f}
    f = Floor (f_exact)
    lab_exact = MatMul (lab_from_f, f)
    lab = Floor (lab_exact)
    batch = Shape <start = 0, end = 1> (patches)
    batch_position_shape = Concat <axis = 0> (batch, position_shape)
    batch_position = Expand (position, batch_position_shape)
    features = Concat <axis = 1> (lab, batch_position)
    {coarsen}
    assignment_0 = Identity (seeds)
    {_slic_rounds(superpixels)}
    assignment = Identity (assignment_{superpixels.iterations})
    """
    return _function(SLIC_OP, ("patches",), ("assignment",), constants, body)


def _slic_rounds(superpixels: SuperpixelSpec) -> str:
    """All rounds, on the cells of each one's assignment; the start is on those of the first."""
    levels = [
        "coarse" if i < superpixels.coarse_iterations else "features"
        for i in range(superpixels.iterations)
    ]
    pairs = zip([levels[0], *levels], levels, strict=False)
    return "".join(_slic_round(i, before, after) for i, (before, after) in enumerate(pairs))


def _coarsen(geometry: SlicGeometry) -> tuple[str, dict[str, _Constant]]:
    """Sums of the features of 2x2 cells."""
    constants: dict[str, _Constant] = {
        "patch_cells_shape": np.array([-1, geometry.cells_per_patch]),
        "cells_to_coarse": geometry.cells_to_coarse,
        "coarse_shape": np.array([-1, 6, geometry.cells // 4]),
    }
    lines = """
    features_by_patch = Reshape (features, patch_cells_shape)
    coarse_by_patch = MatMul (features_by_patch, cells_to_coarse)
    coarse = Reshape (coarse_by_patch, coarse_shape)
    """
    return lines, constants


def _slic_round(i: int, before: str, after: str) -> str:
    """Centres go to the means of their cells, and beyond; every cell joins its nearest centre.

    Args:
        before, after: the features of the cells that were assigned, and of those that now are.
    """
    relax = f"""
    ahead_{i} = Mul (means_{i}, relaxation_by)
    behind_{i} = Mul (centres_{i - 1}, relaxation_back)
    centres_exact_{i} = Sub (ahead_{i}, behind_{i})
    centres_{i} = Floor (centres_exact_{i})
    """
    start = f"centres_{i} = Identity (means_{i})"
    return f"""
    transposed_{i} = Transpose <perm = [0, 2, 1]> ({before})
    sums_{i} = MatMul (assignment_{i}, transposed_{i})
    feature_sums_{i}, half_counts_{i} = Split <axis = 2> (sums_{i}, features_and_count)
    divisors_{i} = Max (half_counts_{i}, half)
    dividends_{i} = Add (feature_sums_{i}, off_whole)
    means_exact_{i} = Div (dividends_{i}, divisors_{i})
    means_{i} = Floor (means_exact_{i})
    {relax if i else start}
    offsets_{i} = ReduceSumSquare <keepdims = 1> (centres_{i}, axis_feature)
    slopes_{i} = Mul (centres_{i}, minus_two)
    planes_{i} = Concat <axis = 2> (slopes_{i}, offsets_{i})
    distances_{i} = MatMul (planes_{i}, {after})
    nearest_{i} = ReduceMin <keepdims = 1> (distances_{i}, axis_superpixel)
    is_nearest_{i} = Equal (distances_{i}, nearest_{i})
    assignment_{i + 1} = Cast <to = 1> (is_nearest_{i})
    """


def pool_function(geometry: SlicGeometry, soft: bool) -> onnx.FunctionProto:
    """(values, assignment) to (means, occupied, centroids, membership), all float32.

    See :class:`edgevit.models.superpixel.superpixels.Pooled` for their shapes.
    """
    count = geometry.superpixels
    constants: dict[str, _Constant] = {
        "overlap_shape": np.array([-1, count, geometry.patches, geometry.cells_per_patch]),
        "handicap": (np.arange(count) / count).astype(np.float32)[None, :, None],
        "patch_cells": np.float32(geometry.cells_per_patch),
        "zero": np.float32(0),
        "one": np.float32(1),
        "axis_superpixel": np.array([1]),
        "axis_last": np.array([-1]),
        "axis_cell": np.array([3]),
        "two_and_one": np.array([2, 1]),
        "centroid_features": geometry.centroid_features,
    }
    by_share = "membership = Div (overlap, patch_cells)"
    by_largest = """
    rank = Sub (overlap, handicap)
    highest = ReduceMax <keepdims = 1> (rank, axis_superpixel)
    is_member = Equal (rank, highest)
    membership = Cast <to = 1> (is_member)
    """
    body = f"""
    cells_by_patch = Reshape (assignment, overlap_shape)
    overlap = ReduceSum <keepdims = 0> (cells_by_patch, axis_cell)
    {by_share if soft else by_largest}
    members = ReduceSum <keepdims = 1> (membership, axis_last)
    has_members = Greater (members, zero)
    divisors = Where (has_members, members, one)
    sums = MatMul (membership, values)
    means = Div (sums, divisors)
    occupied_column = Cast <to = 1> (has_members)
    occupied = Squeeze (occupied_column, axis_last)
    places = MatMul (assignment, centroid_features)
    place_sums, cells = Split <axis = 2> (places, two_and_one)
    cell_divisors = Max (cells, one)
    centroids = Div (place_sums, cell_divisors)
    """
    outputs = ("means", "occupied", "centroids", "membership")
    return _function(POOL_OP, ("values", "assignment"), outputs, constants, body)


def _horner(
    x: str, result: str, coefficients: tuple[float, ...]
) -> tuple[str, dict[str, _Constant]]:
    """Lines and constants of ``result = c0 + c1 x + c2 x^2 + ...``.

    The Max changes nothing: it stands between a product and a sum because runtimes fuse those, and
    round once where the definition rounds twice.
    """
    names = [f"{result}_c{i}" for i in range(len(coefficients))]
    lines, sum_so_far = [], names[-1]
    for i in range(len(coefficients) - 2, -1, -1):
        lines += [
            f"{result}_product{i} = Mul ({sum_so_far}, {x})",
            f"{result}_apart{i} = Max ({result}_product{i}, lowest)",
            f"{result}_sum{i} = Add ({result}_apart{i}, {names[i]})",
        ]
        sum_so_far = f"{result}_sum{i}"
    lines.append(f"{result} = Identity ({sum_so_far})")
    constants = {n: np.float32(c) for n, c in zip(names, coefficients, strict=True)}
    return "\n".join(lines), dict(constants)


def _function(
    name: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    constants: dict[str, _Constant],
    body: str,
) -> onnx.FunctionProto:
    """Parses a body and puts its constants before it."""
    header = _HEADER.format(opset=BODY_OPSET)
    signature = f"{name} {_ATTRIBUTES} ({', '.join(inputs)}) => ({', '.join(outputs)})"
    function: onnx.FunctionProto = parser.parse_function(f"{header}\n{signature} {{{body}}}")
    nodes = [_constant(key, np.asarray(value)) for key, value in constants.items()]
    nodes += list(function.node)
    del function.node[:]
    function.node.extend(nodes)
    return function


def _constant(name: str, value: NDArray[Any]) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))
