"""One measurement in a process of its own; see :mod:`.measurement_process`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from edgevit.common.errors import CheckFailedError

_MODULE = f"{__package__}.measurement_process"


def measure_in_fresh_process(job: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """What the process measured.

    Raises:
        CheckFailedError: it failed, was killed, or did not end in time.
    """
    measurement = job["measurement"]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", _MODULE, json.dumps({**job, "spawned_s": time.time()})],
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_s,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise CheckFailedError(f"The measurement '{measurement}' failed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise CheckFailedError(
            f"The measurement '{measurement}' did not end in {error.timeout:.0f} s."
        ) from error
    result: dict[str, Any] = json.loads(ended.stdout)
    return result
