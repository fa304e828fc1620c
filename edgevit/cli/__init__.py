"""The command line. A command parses, calls one library function, and prints.

Command modules import the libraries they need inside their bodies, and are imported themselves when
their command is run, so every start is quick and a device needs neither torch nor onnx.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import select
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

import typer

from edgevit.cli.commands import application, application_for
from edgevit.cli.last_resort import BUG_EXIT_CODE, bug_report
from edgevit.cli.renamed import with_current_names
from edgevit.common.errors import EdgevitError, options_as_typed
from edgevit.common.storage.interruption import ending_signals, is_put_off
from edgevit.common.untrusted.credentials import without_passwords
from edgevit.common.untrusted.native_output import native_output_filtered
from edgevit.common.untrusted.sanitize import printable, shortened
from edgevit.common.workers import any_abandoned

# Click's, which typer brings with it or imports, and does not name.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]


def __getattr__(name: str) -> Any:
    """``app``, the application with all commands, is made when it is first asked for (PEP 562)."""
    if name != "app":
        raise AttributeError(f"module 'edgevit.cli' has no attribute '{name}'")
    return application()


# What the dynamic linker says of a library for which there is no memory.
_NO_MEMORY = ("failed to map segment", "annot allocate memory")


class _Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP. No ``except Exception`` on the way swallows it."""


_received: list[int] = []  # signals that asked for the end


def main() -> NoReturn:
    """Entry point: a user's mistake is one message and exit code 2, never a traceback.

    A check that does not hold is 1; an exception that nothing expected, which is a bug, is 70.
    """
    _received.clear()
    _collect_seldom()
    for signum in ending_signals():
        signal.signal(signum, _interrupt)
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the caller
            setattr(sys, stream, Path(os.devnull).open("w"))  # noqa: SIM115  (until exit)
        # A name that the terminal's encoding lacks is shown as \\u..., not a reason to end.
        if isinstance(getattr(sys, stream), TextIOWrapper):
            getattr(sys, stream).reconfigure(errors="backslashreplace")
    try:
        with native_output_filtered(), options_as_typed():
            code = _run()
        sys.exit(code)
    except BaseException as error:
        # Code in C may turn the interruption into an error of its own, such as ImportError.
        if _received:
            _say_interrupted()
            _end_now(128 + _received[0])
        if isinstance(error, SystemExit):
            raise
        _print_error(bug_report(error, _command()))
        _end_now(BUG_EXIT_CODE)


def _collect_seldom() -> None:
    """Fewer searches for garbage: imports make many objects and hardly any garbage.

    When Python ends it would search all of them once more, which takes longer than an answer.
    """
    gc.set_threshold(50_000, *gc.get_threshold()[1:])
    atexit.register(_skip_last_collection)


def _skip_last_collection() -> None:
    """Not with onnxsim, which prints a page about all that is not freed when Python ends."""
    if "onnxsim" not in sys.modules:
        gc.freeze()


def _speaks_for_machine() -> bool:
    """Whether this process says what all of them meet that torchrun started on this machine."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("LOCAL_RANK", "0") == "0"


def _say_interrupted() -> None:
    if _speaks_for_machine():
        _say("interrupted; nothing was left half-written")


def _command() -> str:
    """The command that was given, without its arguments: ``edgevit devices add``."""
    words: list[str] = ["edgevit"]
    known: Any = typer.main.get_command(application())
    for word in sys.argv[1:]:
        known = getattr(known, "commands", {}).get(word)
        if known is None:
            break
        words.append(word)
    return " ".join(words)


def _end_now(code: int) -> NoReturn:
    """Without waiting for threads that read or decode, which Python does when it ends."""
    if any_abandoned():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _say(message: str) -> None:
    """On standard error, without passwords and without orders to a terminal."""
    _print_error(shortened(printable(without_passwords(message))))


def _print_error(text: str) -> None:
    """Where standard error is gone or full, the exit code alone says it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _drop_output(sys.stderr)


def _run() -> int:
    try:
        try:
            # Else typer prints a box, passwords and all.
            words = with_current_names(sys.argv[1:])
            app = application_for(words)
            code = app(words, prog_name="edgevit", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except _USAGE_ERROR as error:
        _say_usage(error)
        return 2
    except EdgevitError as error:
        return _code_of(error)
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and not any(said in str(error) for said in _NO_MEMORY):
            raise
        _say("error: there is not enough memory for this. Take smaller pictures or batches.")
        return 2
    except (SystemExit, BrokenPipeError):  # typer and rich make the first of the second
        return _end_of_pipe()
    except OSError as error:
        # What no function below explained: an unreadable folder, a name too long, a full pipe.
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror or error}")
        _drop_output(sys.stdout)
        return 2
    return code if isinstance(code, int) else 0


def _code_of(error: EdgevitError) -> int:
    """The exit code of an error, which is said here."""
    if _received:  # the error is what the interruption led to, here or in another process
        raise error
    if _speaks_for_machine() or not error.said_once:
        _say(f"error: {error}")
    return error.exit_code


def _end_of_pipe() -> int:
    """Quiet where whoever read standard output is gone, as in ``| head -1``; else an error."""
    watched = select.poll()
    watched.register(1, 0)
    # rich has put the null device there already; what poll tells unasked is an error or a hang-up.
    if os.path.samestat(os.fstat(1), Path(os.devnull).stat()) or watched.poll(0):
        _drop_output(sys.stdout)
        return 128 + signal.SIGPIPE
    _say(f"error: {os.strerror(errno.EPIPE)}: a program that edgevit wrote to has ended.")
    return 2


def _drop_output(stream: TextIO) -> None:
    """What is still buffered cannot be written either; Python would try again at exit."""
    with suppress(OSError, ValueError):  # a stream of a test has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say_usage(error: Any) -> None:
    """What a command line lacks or has too much of, as one line; after the help, nothing."""
    if error.format_message().strip() and _speaks_for_machine():
        from edgevit.cli.mistakes import explained  # no start that succeeds needs it

        message = explained(error, sys.argv[1:])
        command = error.ctx.command_path if error.ctx else "edgevit"
        stop = "" if message[-1] in ".?!" else "."
        _say(f"error: {message}{stop} See '{command} --help'.")


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Ends by an exception, so that what was written aside is cleaned up."""
    del frame
    if is_put_off(signum):
        return
    _received.append(signum)
    raise _Interrupted(signum)
