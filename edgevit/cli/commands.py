"""Every command by name, and the application that is made of them.

Importing a command and reading its options takes some milliseconds. A process runs one command, so
it makes an application of that one alone; the whole one is for the help and for mistyped names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from edgevit.cli.command import add_command
from edgevit.cli.examples import COMMAND_NAMES, examples_of
from edgevit.common.version import __version__

# By panel, in the order in which the help lists them: a name, and MODULE:FUNCTION in this package.
_COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Model": {
        "models": "model.models_command:models",
        "train": "model.train_command:train",
        "eval": "model.eval_command:evaluate",
    },
    "Deploy": {
        "export": "deploy.export_command:export",
        "import": "deploy.import_command:import_model",
        "quantize": "deploy.quantize_command:quantize",
        "compile": "deploy.compile_command:compile_bundle",
        "inspect": "deploy.inspect_command:inspect",
        "verify": "deploy.verify_command:verify",
        "trust": "deploy.trust_command:trust",
        "run": "deploy.run_command:run",
        "predict": "deploy.predict_command:predict",
        "deploy": "deploy.deploy_command:deploy",
    },
    "Measure": {
        "bench": "measure.bench_command:bench",
        "profile": "measure.profile_command:profile",
        "report": "measure.report_command:report",
    },
    "Help": {"doctor": "device.doctor_command:doctor"},
}
_GROUPS: Mapping[str, str] = {
    "devices": "device.devices_command:app",
    "service": "device.service_command:app",
}


class _InOrder(TyperGroup):
    """Help comes last in the help."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name == "doctor")


def application_for(words: list[str]) -> typer.Typer:
    """The application that a command line needs.

    Args:
        words: those after ``edgevit``.
    """
    first = next(iter(words), "")
    return application(first if first in COMMAND_NAMES else None)


@cache
def application(only: str | None = None) -> typer.Typer:
    """All commands, or ``only`` one of them."""
    app = typer.Typer(
        name="edgevit",
        cls=_InOrder,
        help="Lightweight vision transformers, from a checkpoint to measured answers on the edge.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for panel, commands in _COMMANDS.items():
        for name, place in commands.items():
            if only in (None, name):
                add_command(app, _imported(place), name, panel)
    for name, place in _GROUPS.items():
        if only in (None, name):
            group, epilog = _imported(place), examples_of(name)
            app.add_typer(group, name=name, rich_help_panel="Device", epilog=epilog)
    return app


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"edgevit.cli.{module}"), name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"edgevit {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version
