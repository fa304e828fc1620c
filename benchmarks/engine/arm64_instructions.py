"""Instructions of an inference on 64-bit ARM, emulated: edgevit's engine and ONNX Runtime.

    make test-arm64        # makes the aarch64 root, with edgevit in it; apt install qemu-user gcc
    PYTHONPATH=benchmarks python benchmarks/engine/arm64_instructions.py out/arm64

Times under emulation mean nothing, and the number of instructions is not time either: a product
of vectors counts as one, like an addition. As a ratio it says how much work a runtime has. Counted
from uint8 pixels to logits, one thread, one picture; what a process does before is subtracted by
counting two processes with different numbers of inferences. The processor is qemu's ``-cpu max``,
which has dot products.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from edgevit.common.console import print_json, print_table
from edgevit.common.errors import CheckFailedError
from edgevit.zoo.registry import PREBUILT_BUNDLE
from engine.made_bundles import run_edgevit, two_classes, written_photos

OURS, THEIRS = "native-int8", "onnx-int8-arm"
VARIANTS = (OURS, THEIRS, "float")
FEW, MANY = 2, 10
_PLUGIN = Path(__file__).with_name("count_instructions.c")
_SITE_PACKAGES = "opt/edgevit/lib/python3.11/site-packages"
_INFER = """
import sys
from pathlib import Path
from edgevit.bundle.bundle import Bundle
from edgevit_runtimes.backends.open_model import open_variant
bundle = Bundle.open(Path(sys.argv[1]))
picture = {"image": bundle.reference().images[:1]}
with open_variant(bundle, sys.argv[2], 1) as runner:
    for _ in range(int(sys.argv[3])):
        runner.infer(picture)
"""


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        counts = counted(arguments.root.resolve(), Path(scratch))
    found = {name: count / counts[OURS] for name, count in counts.items()}
    if arguments.json:
        print_json({"instructions": counts, "times_native_int8": found})
        return
    rows = [(name, f"{count / 1e6:.1f}", f"{found[name]:.2f}") for name, count in counts.items()]
    columns = ("variant", "million instructions", f"x {OURS}")
    print_table("lla_tiny, one picture, emulated aarch64", columns, rows, numeric=columns[1:])


def counted(root: Path, scratch: Path) -> dict[str, float]:
    """Instructions of an inference, by variant."""
    plugin = scratch / "count_instructions.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", plugin, _PLUGIN], check=True)
    bundle = _bundle(scratch)
    return {
        name: (
            _instructions(root, plugin, bundle, name, MANY)
            - _instructions(root, plugin, bundle, name, FEW)
        )
        / (MANY - FEW)
        for name in VARIANTS
    }


def _bundle(scratch: Path) -> Path:
    """The shipped bundle with INT8 for ARM too; accuracy is no subject here."""
    bundle = Path(shutil.copytree(PREBUILT_BUNDLE, scratch / "lla_tiny.edgevit"))
    run_edgevit(["trust", bundle])
    pictures = two_classes(bundle, written_photos(scratch))
    options = ("--target", "onnxruntime-arm", "--max-drop", "100", "--images", "40")
    run_edgevit(["quantize", bundle, "--data", pictures, *options])
    return bundle


def _instructions(root: Path, plugin: Path, bundle: Path, variant: str, inferences: int) -> int:
    """Of a whole process."""
    found = plugin.with_name("count.txt")
    counter = f"{plugin},out={found}"
    emulator = ["qemu-aarch64", "-cpu", "max", "-L", str(root), "-plugin", counter]
    python = [str(root / "usr/bin/python3.11"), "-c", _INFER]
    paths = {"PYTHONPATH": str(root / _SITE_PACKAGES), "PYTHONHOME": str(root / "usr")}
    ended = subprocess.run(
        [*emulator, *python, str(bundle), variant, str(inferences)],
        env={"PATH": os.environ["PATH"], "HOME": str(plugin.parent), **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise CheckFailedError(f"{variant} did not run: {ended.stderr.strip()[-1000:]}")
    return int(found.read_text())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="the folder that 'make test-arm64' made")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
