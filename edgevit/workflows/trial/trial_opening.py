"""Models of a bundle that the user neither made nor trusts are opened in another process first.

A model is a program for its runtime: it can loop without end, ask for all memory, or meet a fault
of a parser that ends the process. The trial finds that out where it does no harm: in a child with
limits of time and memory (:mod:`.trial_process`).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from shlex import quote
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.trust import is_trusted
from edgevit.common.errors import CheckFailedError
from edgevit.common.progress import Progress
from edgevit.common.untrusted.sanitize import harmless, last_line
from edgevit.workflows.trial.trial_limits import limits_for

_START_S, _LONGEST_S = 60, 600  # of the process: its start on a slow device, and all together
_MODULE = f"{__package__}.trial_process"


def try_untrusted(bundle: Bundle, variants: Sequence[str], progress: Progress) -> None:
    """Opens variants of a bundle in a child process, unless the user made or trusts the bundle.

    What only this machine lacks (a runtime, a GPU) is passed over: whoever opens the model here
    will say so.

    Raises:
        CheckFailedError: a model ended the process, exceeded its limits, or cannot be read.
    """
    if is_trusted(bundle):
        return
    named = list(dict.fromkeys(variants))
    with progress.working(
        f"open {len(named)} models of an untrusted bundle in another process first"
    ):
        reason = _failure(bundle, named)
    if reason is not None:
        raise CheckFailedError(
            f"{bundle.path}: {reason}. The bundle was not made here and is not trusted, so its "
            "models were opened in another process first, and not in this one. Export it again, "
            f"or, if you trust who made it, open it without limits: edgevit trust "
            f"{quote(str(bundle.path))}"
        )


def _failure(bundle: Bundle, variants: Sequence[str]) -> str | None:
    """What went wrong in the child, without a full stop; None if nothing did."""
    from edgevit_runtimes.bench.fresh_process import process_environment

    limits = {name: asdict(limits_for(bundle.entry(name))) for name in variants}
    seconds = [each["seconds"] for each in limits.values()]
    job = {"bundle": str(bundle.path), "variants": limits}
    try:
        ended = subprocess.run(
            [sys.executable, "-m", _MODULE],
            input=json.dumps(job),  # of any length, and with names of any characters
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=min(_START_S + sum(seconds), _LONGEST_S),
            env=process_environment(),
        )
    except subprocess.TimeoutExpired as error:
        return f"opening its models did not end within {error.timeout:.0f} s"
    if not ended.returncode:
        return None
    last = _last_report(ended.stdout)
    file = harmless(str(last.get("opening", "the bundle")))
    return f"{file} {_why(ended, last, max(seconds))}"


def _why(ended: subprocess.CompletedProcess[str], last: dict[str, Any], seconds: int) -> str:
    if -ended.returncode == signal.SIGALRM:
        return f"did not open and answer within {last.get('seconds', seconds)} s"
    if ended.returncode < 0:
        return f"ended the process that opened it ({signal.Signals(-ended.returncode).name})"
    said = harmless(str(last["error"])) if "error" in last else last_line(ended.stderr)
    return f"failed: {said.rstrip('.')}"


def _last_report(output: str) -> dict[str, Any]:
    """The last line that the child wrote; libraries may have written others."""
    for line in reversed(output.splitlines()):
        with suppress(ValueError):
            report = json.loads(line)
            if isinstance(report, dict):
                return report
    return {}
