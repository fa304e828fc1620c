"""The command line. A command parses, calls one library function, and prints.

Command modules import the libraries they need inside their bodies, so ``--help`` is quick and a
device needs neither torch nor onnx.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from edgevit import __version__
from edgevit.cli.bench import bench
from edgevit.cli.doctor import doctor
from edgevit.cli.export import export
from edgevit.cli.kernel import kernel
from edgevit.cli.models import models
from edgevit.cli.run import run
from edgevit.cli.train import train
from edgevit.errors import EdgevitError

app = typer.Typer(
    name="edgevit",
    help="Lightweight vision transformers, from a checkpoint to measured answers on the edge.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (export, run, bench, train, models, doctor, kernel):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"edgevit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


def main() -> NoReturn:
    """Entry point: a user's mistake is one message and exit code 2, never a traceback."""
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    try:
        app()
    except EdgevitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(0)


def _end_on_sigterm(signum: int, frame: FrameType | None) -> None:
    """Ends by an exception, so that what was written aside is cleaned up."""
    del frame
    sys.exit(128 + signum)
