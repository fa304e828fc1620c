"""The folder of a training run, and how a run stops, goes on, and refuses to."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from edgevit.common.errors import CheckpointError, EdgevitError, InputError
from edgevit.common.storage.files import cannot_write, held
from edgevit.common.storage.interruption import ending_signals
from edgevit.training.state import STATE_FILE, RunState


class TrainingInterruptedError(EdgevitError):
    """Ctrl-C, SIGTERM or SIGHUP; the state was saved."""

    exit_code = 130
    said_once = True

    @classmethod
    def after(cls, run: Path, state: RunState) -> TrainingInterruptedError:
        """Says where the state is and how to go on."""
        return cls(
            f"Stopped in epoch {state.epoch + 1}; the state is in {run / STATE_FILE}. "
            "Go on with --resume."
        )


@contextmanager
def run_folder(run: Path) -> Iterator[None]:
    """Makes a run's folder and keeps other processes out of it while the block runs.

    Raises:
        InputError: it cannot be made, or another process holds it.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(run, error) from error
    try:
        with held(run):
            yield
    finally:
        with suppress(OSError):  # a run that failed before it wrote anything leaves no folder
            run.rmdir()


def first_state(run: Path, identity: dict[str, Any], resume: bool) -> RunState:
    """The state to go on from, or that of a new run.

    Raises:
        CheckpointError: there is nothing to resume, it is another run's, or there is a run already.
    """
    if resume:
        return RunState.load(run, identity)
    if (run / STATE_FILE).exists():
        raise CheckpointError(
            f"{run} already holds a run. Add --resume to go on with it, or use --output."
        )
    return RunState(identity)


def finite(loss: float, state: RunState) -> float:
    """The loss. Raises InputError where it is NaN."""
    if math.isnan(loss):
        raise InputError(
            f"The loss became NaN in epoch {state.epoch + 1}. Start anew in another folder with a "
            "lower --learning-rate."
        )
    return loss


@contextmanager
def interrupt_flag() -> Iterator[threading.Event]:
    """A signal that asks for the end sets an event: the step in flight ends, the state is saved."""
    event = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    former = {s: signal.signal(s, on_signal) for s in ending_signals()}
    try:
        yield event
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)
