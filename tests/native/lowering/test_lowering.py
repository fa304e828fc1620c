"""Small graphs as plans: each answers as ONNX Runtime, whatever the order in memory."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

from edgevit.common.errors import InputError
from edgevit_export.native.compile_native import compile_native
from support.models.native_interpreter import NativeModel

PX = 8
CONSTANTS = {
    "rows": np.array([1, 64, 3]),
    "flat": np.array([1, -1]),
    "by_head": np.array([1, 64, 2, 8]),
    "column": np.arange(3, dtype=np.float32).reshape(1, 3, 1),
    "axis_1": np.array([1]),
    "axes_map": np.array([2, 3]),
    "one": np.float32(1),
    "two": np.float32(2),
    "channel": np.array([[[0.5]], [[2]], [[-1]]], np.float32),
    "shift": np.array([[[1]], [[-2]], [[3]]], np.float32),
    "row": np.arange(192, dtype=np.float32).reshape(1, 64, 3) / 100,
    "token": np.arange(3, dtype=np.float32).reshape(1, 1, 3),
    "matrix": np.random.default_rng(0).normal(0, 0.01, (3, 16)).astype(np.float32),
    "square": np.random.default_rng(1).normal(0, 0.01, (16, 16)).astype(np.float32),
    "kernel": np.random.default_rng(2).normal(0, 0.01, (16, 3, 3, 3)).astype(np.float32),
    "by_channel": np.random.default_rng(3).normal(0, 0.1, (16, 1, 3, 3)).astype(np.float32),
    "theta": np.random.default_rng(5).normal(0, 0.1, (64, 64)).astype(np.float32),
    "down": np.random.default_rng(6).normal(0, 0.3, (5, 64)).astype(np.float32),
    "up": np.random.default_rng(7).normal(0, 0.3, (64, 5)).astype(np.float32),
    "by_query": np.linspace(-1, 1, 64, dtype=np.float32).reshape(64, 1),
    "by_key": np.linspace(-1, 1, 64, dtype=np.float32),
    "score_rows": np.array([128, 64]),
    "score_heads": np.array([1, 2, 64, 64]),
    "planes": np.array([64, 2, 8, 8]),
    "halved": np.array([1, 64, 2, 16]),
    "fewer_planes": np.array([16, 2, 8, 8]),
    "by_plane": np.random.default_rng(8).normal(0, 0.3, (2, 1, 2, 2)).astype(np.float32),
    "mixed": np.random.default_rng(9).normal(0, 0.3, (3, 2, 1, 1)).astype(np.float32),
    "raster": np.random.default_rng(10).normal(0, 0.3, (2, 1, 4, 4)).astype(np.float32),
    "by_square": np.array([1, 4, 2, 4, 32]),
    "merged_rows": np.array([16, 64]),
    "merge": np.random.default_rng(12).normal(0, 0.1, (64, 16)).astype(np.float32),
    "planes_of_heads": np.array([4, 4, 8, 8]),
    "mixing": np.random.default_rng(11).normal(0, 0.3, (2, 4, 3, 3)).astype(np.float32),
    "four_axes": np.array([8, 8, 4, 4]),
    "pads": np.array([0, 1, 0, 0, 2, 0]),
    "first": np.array(0),
    "starts": np.array([1]),
    "ends": np.array([60]),
    "steps": np.array([2]),
    "scale": np.float32(0.1),
    "zero": np.uint8(123),
    "int8": np.random.default_rng(4).integers(-127, 128, (16, 16), np.int8),
    "scales": np.linspace(0.001, 0.002, 16, dtype=np.float32),
}

# Queries, keys transposed, values and scaled scores of two heads of 64 tokens.
HEADS = """
    a = MatMul (x, matrix)
    n = LayerNormalization <epsilon = 0.001> (a, one)
    h = Reshape (n, by_head)
    q = Transpose <perm = [0, 2, 1, 3]> (h)
    k = Transpose <perm = [0, 2, 3, 1]> (h)
    r = MatMul (q, k)
    s = Mul (r, scale)
"""

GRAPHS = {
    "rows of pixels": "y = MatMul (x, matrix)",
    "a product, its activation and a sum": """
        a = MatMul (x, matrix)
        b = MatMul (a, square)
        c = Relu (b)
        y = Add (a, c)
    """,
    "a sum before its activation": """
        a = MatMul (x, matrix)
        b = MatMul (a, square)
        c = Add (a, b)
        y = Relu (c)
    """,
    "an activation whose input has another reader": """
        a = MatMul (x, matrix)
        b = Relu (a)
        y = Sub (b, a)
    """,
    "the same number twice": """
        a = MatMul (x, matrix)
        y = Add (a, a)
    """,
    "transposed pixels": """
        t = Transpose <perm = [0, 2, 1]> (x)
        m = Mul (t, column)
        y = Transpose <perm = [0, 2, 1]> (m)
    """,
    "a map that is scaled and shifted by channel": """
        t = Transpose <perm = [0, 3, 1, 2]> (f)
        m = Mul (t, channel)
        s = Add (m, shift)
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (s, kernel)
        y = Transpose <perm = [0, 2, 3, 1]> (c)
    """,
    "a map by channel, squeezed and excited": """
        t = Transpose <perm = [0, 3, 1, 2]> (f)
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t, kernel)
        d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 16> (c, by_channel)
        h = HardSwish (d)
        p = ReduceMean <keepdims = 1> (h, axes_map)
        g = HardSigmoid <alpha = 0.16666667, beta = 0.5> (p)
        m = Mul (h, g)
        y = Transpose <perm = [0, 2, 3, 1]> (m)
    """,
    "a mean over places": "y = ReduceMean <keepdims = 0> (x, axis_1)",
    "tokens before others": """
        n = LayerNormalization <epsilon = 0.001> (x, one)
        c = Concat <axis = 1> (token, n, token)
        y = MatMul (c, matrix)
    """,
    "the same tensor in two places": """
        a = MatMul (x, matrix)
        c = Concat <axis = 1> (a, a)
        y = Mul (c, two)
    """,
    "columns beside columns": """
        s = Pow (x, two)
        c = Concat <axis = 2> (x, s)
        y = Mul (c, two)
    """,
    "zeros around": """
        m = Mul (x, two)
        p = Pad (m, pads)
        y = Add (p, one)
    """,
    "parts of a tensor": """
        a = MatMul (x, matrix)
        l, r = Split <axis = 2, num_outputs = 2> (a)
        y = Mul (l, r)
    """,
    "every second row": """
        a = MatMul (x, matrix)
        s = Slice (a, starts, ends, axis_1, steps)
        g = Gather <axis = 1> (a, first)
        u = Unsqueeze (g, axis_1)
        y = Sub (s, u)
    """,
    "heads that lie across": """
        a = MatMul (x, matrix)
        h = Reshape (a, by_head)
        t = Transpose <perm = [0, 2, 1, 3]> (h)
        y = LayerNormalization <epsilon = 0.001> (t, one)
    """,
    "a sine of what is known": """
        k = Sin (row)
        y = Add (x, k)
    """,
    "a bias for rows and one for columns": """
        a = MatMul (x, matrix)
        m = ReduceMean <keepdims = 1> (a, axis_1)
        y = Add (a, m)
    """,
    "rows that become columns": """
        a = MatMul (x, matrix)
        y = Transpose <perm = [0, 2, 1]> (a)
    """,
    "a product of two that are computed": """
        t = Transpose <perm = [0, 2, 1]> (x)
        m = MatMul (x, t)
        y = Mul (m, scale)
    """,
    "squares of a map that are merged": """
        a = MatMul (x, matrix)
        g = Reshape (a, by_square)
        t = Transpose <perm = [0, 1, 3, 2, 4]> (g)
        r = Reshape (t, merged_rows)
        y = MatMul (r, merge)
    """,
    "scores that are added to in every place": HEADS
    + """
        m = Mul (s, theta)
        t = Add (s, m)
        p = Softmax <axis = -1> (t)
        z = MatMul (p, q)
        y = Transpose <perm = [0, 2, 1, 3]> (z)
    """,
    "scores with a mask that has rows": HEADS
    + """
        t = Add (s, theta)
        p = Softmax <axis = -1> (t)
        z = MatMul (p, q)
        y = Transpose <perm = [0, 2, 1, 3]> (z)
    """,
    "scores that are read after their softmax": HEADS
    + """
        p = Softmax <axis = -1> (s)
        z = MatMul (p, q)
        f2 = Reshape (s, score_rows)
        g = Gemm (f2, theta, by_key)
        f4 = Reshape (g, score_heads)
        u = MatMul (theta, f4)
        b = Add (u, by_query)
        p2 = Softmax <axis = -1> (b)
        z2 = MatMul (p2, q)
        c = MatMul (b, theta)
        p3 = Softmax <axis = -1> (c)
        z3 = MatMul (p3, z2)
        v = Add (z, z3)
        y = Transpose <perm = [0, 2, 1, 3]> (v)
    """,
    "scores through few numbers": HEADS
    + """
        d = MatMul (s, up)
        e = MatMul (d, down)
        t = Add (s, e)
        d2 = MatMul (down, t)
        e2 = MatMul (up, d2)
        t2 = Add (t, e2)
        b = Add (t2, by_query)
        p = Softmax <axis = -1> (b)
        z = MatMul (p, q)
        y = Transpose <perm = [0, 2, 1, 3]> (z)
    """,
    "planes of scores that shrink": HEADS
    + """
        t = Transpose <perm = [0, 3, 1, 2]> (s)
        m = Reshape (t, planes)
        c = Conv <kernel_shape = [2, 2], strides = [2, 2], group = 2> (m, by_plane)
        t2 = Reshape (c, halved)
        t3 = Transpose <perm = [0, 3, 2, 1]> (t2)
        m2 = Reshape (t3, fewer_planes)
        c2 = Conv <kernel_shape = [2, 2], strides = [2, 2], group = 2> (m2, by_plane)
        y = Conv <kernel_shape = [1, 1]> (c2, mixed)
    """,
    "scores that shrink as they are numbered": HEADS
    + """
        y = Conv <kernel_shape = [4, 4], strides = [4, 4], group = 2> (s, raster)
    """,
    "eight bits, read twice and as float": """
        a = MatMul (x, matrix)
        q = QuantizeLinear (a, scale, zero)
        d = DequantizeLinear (q, scale, zero)
        w = DequantizeLinear <axis = 1> (int8, scales)
        b = MatMul (d, w)
        y = Add (a, b)
    """,
}


def model_of(body: str) -> onnx.ModelProto:
    text = f"""<ir_version: 10, opset_import: ["" : 18]>
    small (uint8[1, {PX}, {PX}, 3] image) => (float logits) {{
        f = Cast <to = 1> (image)
        x = Reshape (f, rows)
        {body}
        logits = Reshape (y, flat)
    }}"""
    model = parser.parse_model(text)
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in CONSTANTS.items()
        if name in used
    )
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (PX, PX, 3), np.uint8)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_small_graph_answers_as_onnx_runtime(name: str, picture: np.ndarray) -> None:
    model = model_of(GRAPHS[name])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    (expected,) = session.run(["logits"], {"image": picture[None]})
    logits, _ = NativeModel(compile_native(model)).run(picture)
    np.testing.assert_allclose(logits, expected[0], rtol=1e-4, atol=1e-4)


def kinds(body: str) -> list[str]:
    return [op.kind for op in NativeModel(compile_native(model_of(body))).operations]


def test_what_follows_a_product_is_a_part_of_it() -> None:
    assert kinds(GRAPHS["a product, its activation and a sum"]) == ["picture", "conv", "conv"]
    assert "unary" in kinds(GRAPHS["a sum before its activation"])
    assert "unary" in kinds(GRAPHS["an activation whose input has another reader"])


def test_views_need_no_operation() -> None:
    assert kinds(GRAPHS["transposed pixels"]) == ["picture"]
    found = kinds(GRAPHS["a map that is scaled and shifted by channel"])
    assert found[:2] == ["picture", "conv"]


def test_merged_squares_are_read_as_they_lie() -> None:
    assert kinds(GRAPHS["squares of a map that are merged"]) == ["picture", "conv", "conv"]


def test_scores_are_written_only_where_something_else_reads_them() -> None:
    alone = f"""{HEADS}
        p = Softmax <axis = -1> (s)
        z = MatMul (p, q)
        y = Transpose <perm = [0, 2, 1, 3]> (z)
    """
    assert kinds(alone)[-1] == "attention"
    found = kinds(GRAPHS["scores that are read after their softmax"])
    assert "attention" not in found
    # Over keys as they lie; over queries, and back for the softmax and the next layer alike.
    assert found.count("transpose") == 2
    assert found.count("weighted") == 3
    assert "unary" not in found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("y = Tanh (x)", ("Tanh", "no operation")),
        (
            f"{HEADS} g = Gather <axis = 1> (k, first)\n y = MatMul (q, g)",
            ("MatMul", "different shapes"),
        ),
        (
            "m = ReduceMean <keepdims = 0> (x, axis_1)\n v = Gather <axis = 0> (m, first)\n"
            "y = MatMul (x, v)",
            ("MatMul", "vector"),
        ),
        ("y = Softmax (x)", ("Softmax", "no product with values")),
        (
            f"{HEADS} m = Reshape (q, planes_of_heads)\n"
            "y = Conv <kernel_shape = [3, 3]> (m, mixing)",
            ("Conv", "several maps"),
        ),
        ("y = HardSigmoid (x)", ("HardSigmoid", "x / 6")),
        (
            "a = MatMul (x, matrix)\n r = Reshape (a, four_axes)\n"
            "y = Transpose <perm = [3, 2, 1, 0]> (r)",
            ("logits", "scattered"),
        ),
    ],
)
def test_what_the_engine_lacks_is_named(body: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"'target' onnxruntime") as refused:
        compile_native(model_of(body))
    assert all(word in str(refused.value) for word in words)
