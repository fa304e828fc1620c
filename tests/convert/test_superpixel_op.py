"""The custom ops mean the same in torch, in every runtime, and in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, inliner

from edgevit.inference.runner import Runner
from edgevit.models.layers import patch_rows
from edgevit.models.superpixel.superpixels import Superpixels, horner
from edgevit.zoo.slic import LIGHT_LEVELS, light_coefficients
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec
from edgevit_export.convert.superpixel_op import DOMAIN, superpixel_functions
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner
from support.models import slic_reference
from support.needs import need_tool

GEOMETRIES = {
    "224 K=16": LlaSpec("a", 192, 3, 1),
    "224 K=49": LlaSpec("b", 192, 3, 1, superpixels=SuperpixelSpec((7, 7))),
    "224 K=16 soft": LlaSpec("f", 192, 3, 1, pooling="soft"),
    "224 K=16 in a row": LlaSpec("g", 192, 3, 1, superpixels=SuperpixelSpec((1, 16))),
    "224 K=196": LlaSpec("h", 192, 3, 1, superpixels=SuperpixelSpec((14, 14), coarse_iterations=0)),
    "224 K=100 m=10": LlaSpec(
        "c", 192, 3, 1, superpixels=SuperpixelSpec((10, 10), 4, 5, 0, compactness=10, relaxation=1)
    ),
    "128 K=6": LlaSpec("d", 192, 3, 1, image_px=128, superpixels=SuperpixelSpec((2, 3))),
    "224 cells of 8 px": LlaSpec(
        "i", 192, 3, 1, superpixels=SuperpixelSpec((4, 4), cell_px=8, coarse_iterations=0)
    ),
    "210 cells of 7 px": LlaSpec(
        "j", 192, 3, 1, image_px=210, patch_px=14, superpixels=SuperpixelSpec((3, 3), cell_px=7)
    ),
    "32 K=16": LlaSpec(
        "e", 192, 3, 1, image_px=32, patch_px=4, superpixels=SuperpixelSpec((4, 4), cell_px=1)
    ),
}


OUTPUTS = ("assignment", "means", "occupied", "centroids", "membership")


def superpixel_model(spec: LlaSpec) -> onnx.ModelProto:
    """The two nodes with their bodies, as a model of their own."""
    node = partial(helper.make_node, domain=DOMAIN, **Superpixels(spec).attributes())
    nodes = [
        node("SuperpixelSlic", ["patches"], ["assignment"]),
        node("SuperpixelPool", ["patches", "assignment"], OUTPUTS[1:]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS]
    shape = ["batch", spec.patches, spec.patch_values]
    inputs = [helper.make_tensor_value_info("patches", TensorProto.FLOAT, shape)]
    model = helper.make_model(
        helper.make_graph(nodes, "superpixels", inputs, values),
        functions=superpixel_functions(spec),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)],
        ir_version=10,
    )
    model.graph.CopyFrom(onnx.shape_inference.infer_shapes(model).graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def run_torch(spec: LlaSpec, patches: np.ndarray) -> dict[str, np.ndarray]:
    op = Superpixels(spec)
    rows = torch.from_numpy(patches)
    assignment = op.assign(rows)
    tensors = {"assignment": assignment, **op.pool(rows, assignment)._asdict()}
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def open_body(model: onnx.ModelProto) -> Runner:
    return OnnxRuntimeRunner(model.SerializeToString())


def open_openvino(model: onnx.ModelProto) -> Runner:
    need_tool("openvino")
    return OpenVinoRunner(inliner.inline_local_functions(model).SerializeToString())


OPENERS = {
    "function body": open_body,
    "OpenVINO": open_openvino,
}


@dataclass(frozen=True)
class Implementation:
    """One that is not torch, for one geometry. ``exact``: it divides as IEEE 754 says."""

    spec: LlaSpec
    runner: Runner
    exact: bool


@pytest.fixture(
    scope="module",
    params=list(product(OPENERS, GEOMETRIES)),
    ids=lambda of: f"{of[0]}, {of[1]}",
)
def implementation(request: pytest.FixtureRequest) -> Iterator[Implementation]:
    name, geometry = request.param
    spec = GEOMETRIES[geometry]
    with OPENERS[name](superpixel_model(spec)) as runner:
        yield Implementation(spec, runner, name != "OpenVINO")


def make_pictures(kind: str, spec: LlaSpec) -> np.ndarray:
    """uint8 [3, H, W, 3]."""
    rng = np.random.default_rng(7)
    size = spec.image_px
    shape = (3, size, size, 3)
    if kind == "noise":
        return rng.integers(0, 256, shape, np.uint8)
    if kind == "flat":
        return np.full(shape, 90, np.uint8)
    if kind == "black, white, both":
        both = rng.integers(0, 2, shape[1:], np.uint8) * 255
        return np.stack([np.zeros_like(both), np.full_like(both, 255), both])
    block = -(-size // 8)
    coarse = rng.integers(0, 256, (3, 8, 8, 3)).repeat(block, 1).repeat(block, 2)[:, :size, :size]
    return (coarse + rng.normal(0, 5, shape)).clip(0, 255).astype(np.uint8)


KINDS = ("coarse", "noise", "flat", "black, white, both")


@pytest.mark.parametrize("kind", KINDS)
def test_every_implementation_gives_torchs_bits(kind: str, implementation: Implementation) -> None:
    """Flat pictures tie everywhere, noise nearly so; whole numbers leave no choice."""
    patches = patches_of(kind, implementation.spec).numpy()
    expected = run_torch(implementation.spec, patches)
    got = implementation.runner.infer({"patches": patches})
    alone = implementation.runner.infer({"patches": patches[1:2]})
    for name in OUTPUTS:
        np.testing.assert_array_equal(alone[name], got[name][1:2], err_msg=f"{name}, alone")
        if implementation.exact or name in ("assignment", "occupied", "membership"):
            np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
        else:
            np.testing.assert_allclose(got[name], expected[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_torch_gives_what_one_would_write_down(geometry: str, kind: str) -> None:
    """Against plain SLIC in float64."""
    spec = GEOMETRIES[geometry]
    got = run_torch(spec, patches_of(kind, spec).numpy())
    for i, picture in enumerate(make_pictures(kind, spec)):
        plain = slic_reference.slic(picture, spec)
        np.testing.assert_array_equal(got["assignment"][i], plain)
        if spec.pooling == "hard":
            pooled, owner = slic_reference.pool(picture, spec.geometry, plain)
            np.testing.assert_array_equal(got["membership"][i].argmax(0), owner)
            np.testing.assert_allclose(got["means"][i], pooled, rtol=1e-6)


def test_there_are_ties_and_empty_superpixels_among_the_pictures() -> None:
    ties = empty = 0
    for spec, kind in product(GEOMETRIES.values(), KINDS):
        got = run_torch(spec, patches_of(kind, spec).numpy())
        ties += int((got["assignment"].sum(1) > 1).sum())
        empty += int((got["occupied"] == 0).sum())
    assert ties > 0
    assert empty > 0


def test_no_product_of_a_polynomial_meets_a_sum() -> None:
    """A runtime would fuse them. What else is multiplied and added is exact."""
    body = superpixel_functions(GEOMETRIES["224 K=16"])[0]
    products = {node.output[0] for node in body.node if node.op_type == "Mul"}
    sums = [node for node in body.node if node.op_type in ("Add", "Sub")]
    fused = {name for node in sums for name in node.input} & products
    assert all(name.startswith(("ahead_", "behind_")) for name in fused)


@pytest.mark.parametrize("cell_px", [1, 2, 4])
def test_every_brightness_has_the_same_light_in_both(cell_px: int) -> None:
    """All sums that a cell can have, exhaustively: the floor never falls apart."""
    sums = np.arange(cell_px**2 * 255 + 1, dtype=np.float32)
    coefficients = light_coefficients(cell_px)
    reference = np.floor(slic_reference.polynomial(sums, coefficients))
    ours = horner(torch.from_numpy(sums), coefficients).floor().numpy()
    np.testing.assert_array_equal(ours, reference)
    assert (np.diff(reference) >= 0).all(), "brighter is never darker"
    assert reference[0] > 0
    assert reference[-1] < 1.3 * LIGHT_LEVELS


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_sums_and_distances_stay_exact(geometry: str) -> None:
    """Whole numbers below 2^24 at the corners of the RGB cube, in the corners of the picture."""
    spec = GEOMETRIES[geometry]
    corners = np.array(np.meshgrid(*[[0, 255]] * 3)).T.reshape(-1, 3).astype(np.uint8)
    shape = (spec.image_px, spec.image_px, 3)
    cells = [slic_reference.features(np.broadcast_to(c, shape), spec.geometry) for c in corners]
    assert np.abs(cells).max() * spec.geometry.cells < 2**24
    # Beside its nearest centre, c about 2 f, a cell's terms add up to 4 |f|^2 at most.
    per_cell = 4 if spec.superpixels.coarse_iterations else 1
    assert per_cell * 4 * (np.array(cells) ** 2).sum(-1).max() < 2**24


def patches_of(kind: str, spec: LlaSpec) -> torch.Tensor:
    return patch_rows(torch.from_numpy(make_pictures(kind, spec)), spec.patch_px)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_results_are_well_formed(geometry: str) -> None:
    spec = GEOMETRIES[geometry]
    patches = patches_of("coarse", spec)
    op = Superpixels(spec)
    assignment = op.assign(patches)
    pooled = op.pool(patches, assignment)
    assert (assignment.sum(1) >= 1).all()
    if spec.pooling == "hard":
        assert (pooled.membership.sum(1) == 1).all(), "a patch has exactly one superpixel"
    assert torch.equal(pooled.occupied, (pooled.membership.sum(2) > 0).float())
    assert (pooled.means[pooled.occupied == 0] == 0).all(), "an empty superpixel is a zero row"
    members = pooled.membership.sum(-1, keepdim=True)
    means = pooled.membership @ patches / torch.where(members > 0, members, 1.0)
    torch.testing.assert_close(pooled.means, means)


def test_a_batch_is_its_pictures() -> None:
    spec = GEOMETRIES["224 K=16"]
    patches = patches_of("coarse", spec)
    op = Superpixels(spec)
    together = op.assign(patches)
    alone = torch.cat([op.assign(p[None]) for p in patches])
    assert torch.equal(together, alone)


def test_the_lowest_label_wins_a_tied_patch() -> None:
    """Two superpixels with half of a patch each: the patch goes to the lower one."""
    spec = GEOMETRIES["224 K=16"]
    op = Superpixels(spec)
    assignment = torch.zeros(1, 16, 196, 16)
    assignment[:, 5, :, :8] = 1
    assignment[:, 3, :, 8:] = 1
    pooled = op.pool(torch.zeros(1, 196, 768), assignment.reshape(1, 16, -1))
    assert pooled.membership[0].argmax(0).unique().tolist() == [3]
