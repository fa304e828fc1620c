"""Native model files, changed at random under the sanitizers of the C++ compiler.

    python -m support.fuzzing.native_models --seconds 60

Prints how many files were tried; a crash or a read out of bounds ends it with the report.
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import tempfile
from pathlib import Path

import torch

from edgevit.models.build import build as build_module
from edgevit.zoo.spec import LavitSpec, LlaSpec, ModelSpec, StageSpec, SuperpixelSpec, VitSpec
from edgevit.zoo.trunk_spec import Convolution, InvertedResidual, TrunkSpec
from edgevit_export.convert import trace
from edgevit_export.convert.graph import rewritten
from edgevit_export.convert.simplify import simplify
from edgevit_export.native.compile_native import compile_native
from edgevit_export.passes.regroup_gelu import regroup_gelu
from support.models.quantized_models import quantized_natively

ROOT = Path(__file__).parents[3]
NATIVE = ROOT / "runtimes" / "native"
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")


def tiny_specs() -> list[ModelSpec]:
    """Models of every kind of operation, as small as they can be."""
    filters = (InvertedResidual(16, 24, stride=2), InvertedResidual(16, 64))  # by 16, and by 64
    trunk = TrunkSpec((Convolution(8, stride=2), *filters))
    superpixels = SuperpixelSpec(grid=(2, 2), cell_px=2)
    shared = {"image_px": 16, "patch_px": 4, "mlp_ratio": 1, "classes": 5}
    return [
        LlaSpec(
            *("tiny_lla", 16, 2, 1),
            **shared,
            latents=2,
            superpixels=superpixels,
            stem="convolution",
            trunk=trunk,
            picture_latents=True,
        ),
        VitSpec("tiny_vit", 16, 2, 1, **shared),
        LavitSpec(
            "tiny_lavit",
            (StageSpec(16, 2, 2, 1, patch=4), StageSpec(16, 4, 2, 1)),
            image_px=16,
            mlp_ratio=1,
            classes=5,
            local_perception=True,
        ),
    ]


def tiny_files() -> dict[str, bytes]:
    """Their native files, in float and in eight bits."""
    torch.manual_seed(0)
    files = {}
    for spec in tiny_specs():
        model = rewritten(simplify(trace.trace(build_module(spec).eval(), 1)), regroup_gelu)
        pictures = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8).numpy()
        files[f"{spec.name}.float"] = compile_native(model)
        files[f"{spec.name}.int8"] = compile_native(quantized_natively(model, pictures))
    return files


def build_fuzzer(folder: Path) -> Path:
    """The fuzzer with the engine in it, under sanitizers."""
    build = runpy.run_path(str(NATIVE / "build.py"))
    library = folder / "libedgevit.so"
    build["build"](library, extra=_SANITIZERS)
    program = folder / "fuzz_model"
    source = [NATIVE / "fuzz" / "fuzz_model.cc", NATIVE / "src" / "crc32.cc"]
    include = [f"-I{NATIVE / 'include'}", "-std=c++17", "-DEDGEVIT_OWN_MUTATIONS"]
    link = [library, "-Wl,-rpath,$ORIGIN", "-o", program]
    compiler = build["find_compiler"]()
    subprocess.run([*compiler, *_SANITIZERS, *include, *source, *link], check=True)
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = []
        for name, content in tiny_files().items():
            files.append(folder / name)
            files[-1].write_bytes(content)
        program = build_fuzzer(folder)
        subprocess.run([program, str(options.seed), str(options.seconds), *files], check=True)


if __name__ == "__main__":
    main()
