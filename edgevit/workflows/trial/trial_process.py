"""The child process of a trial.

Started as ``python -m edgevit.workflows.trial.trial_process``, with a JSON object on standard
input: ``{"bundle": FOLDER, "variants": {NAME: LIMITS, ...}}``, limits as in
:class:`.trial_limits.TrialLimits`. It opens every variant and runs it on the bundle's own pictures,
and says on standard output which one it opens and how long that may take, a JSON object a line. A
variant that takes longer ends the process by SIGALRM, which also ends a loop in native code; memory
beyond the limit is refused by the kernel.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import DamagedError, EdgevitError
from edgevit.common.libraries import is_installed
from edgevit.inference.batches import infer_all
from edgevit.inference.runner import Array, Runner
from edgevit.workflows.trial.trial_limits import TrialLimits
from edgevit_runtimes.backends.open_model import open_variant

_COPIES = 4  # of the weights
_STATUS = Path("/proc/self/status")


def main() -> int:
    job = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    bundle = Bundle.open(Path(job["bundle"]))
    for name, limited in job["variants"].items():
        variant, limits = bundle.entry(name), TrialLimits(**limited)
        _say(opening=variant.file, seconds=limits.seconds)
        signal.alarm(limits.seconds)
        try:
            _try(bundle, name, limits.headroom_bytes)
        except Exception as error:  # whatever a library raises: that is what is to be found out
            _say(opening=variant.file, error=str(error) or type(error).__name__)
            return 1
    signal.alarm(0)
    return 0


def _try(bundle: Bundle, name: str, headroom_bytes: int) -> None:
    """
    Raises:
        Exception: the model cannot be read or run.
    """
    if bundle.damage(bundle.entry(name).file) is not None:
        return  # it is never opened: whoever asks for it refuses it
    _limit_memory(bundle, name, headroom_bytes)
    _parse(bundle, name)
    runner = _opened(bundle, name)
    if runner is not None:
        with runner:
            infer_all(runner, _pictures(bundle))


def _limit_memory(bundle: Bundle, name: str, headroom_bytes: int) -> None:
    """Of the process, in private pages: reserved addresses, of which CUDA needs many, are free."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmData:"))
    taken = int(line.split()[1]) << 10
    own = bundle.manifest.files[bundle.entry(name).file].bytes
    most = taken + headroom_bytes + _COPIES * own
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))


def _parse(bundle: Bundle, name: str) -> None:
    """As the commands read a graph, where the modules that read it are installed."""
    if bundle.variant(name).suffix == ".onnx" and is_installed("onnx") and is_installed("onnx_ir"):
        from edgevit_export.inspect.expose import load_variant

        load_variant(bundle, name)


def _opened(bundle: Bundle, name: str) -> Runner | None:
    """None for what is not for this machine: the command itself says why.

    Raises:
        DamagedError: the runtime cannot read it.
    """
    try:
        return open_variant(bundle, name)
    except DamagedError:
        raise
    except EdgevitError:
        return None


def _pictures(bundle: Bundle) -> Array:
    """uint8 [n, H, W, 3]: the bundle's own, or a black one where these are damaged."""
    try:
        return bundle.reference().images
    except DamagedError:
        side = bundle.manifest.preprocess.size_px
        return np.zeros((1, side, side, 3), np.uint8)


def _say(**report: str | int) -> None:
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    sys.exit(main())
