"""What every command has: --quiet, --verbose, --config, and examples at the end of its help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from edgevit.cli.examples import examples_of
from edgevit.common.errors import InputError
from edgevit.common.progress import Detail, set_detail

Function = Callable[..., Any]


def _take_config(context: typer.Context, file: Path | None) -> Path | None:
    """Its options stand where the command line and the environment say nothing."""
    if file is not None:
        from edgevit.cli.config_file import options_of  # and with it tomllib

        context.default_map = {**(context.default_map or {}), **options_of(file, context)}
    return file


_QUIET = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results and errors only, no progress.")
]
_VERBOSE = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every step as it begins, and library logs.")
]
_CONFIG = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_take_config,
        help="Read options from a TOML or YAML file; those of the command line win.",
    ),
]
_COMMON: dict[str, tuple[Any, Any]] = {
    "config": (_CONFIG, None),
    "quiet": (_QUIET, False),
    "verbose": (_VERBOSE, False),
}


class _Command(TyperCommand):
    """A command whose help is plain lines.

    typer's tables cut the names of options and break examples where a terminal is narrow.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "rich_markup_mode": None})
        for each in self._arguments():
            each.metavar = each.metavar or each.name.upper()

    def _arguments(self) -> list[Any]:
        return [each for each in self.params if each.param_type_name == "argument"]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """``[OPTIONS] [BUNDLE]``: an argument that may be left out stands in brackets."""
        del ctx
        return ["[OPTIONS]", *map(_usage_of, self._arguments())]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The arguments, and the options in the groups that they were given."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for each in self.get_params(ctx):
            usual = "Arguments" if each.param_type_name == "argument" else "Options"
            if record := each.get_help_record(ctx):
                group = getattr(each, "rich_help_panel", None) or usual
                groups.setdefault(group, []).append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples as they are: what is broken over lines cannot be pasted."""
        del ctx
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


def _usage_of(argument: Any) -> str:
    name: str = argument.metavar
    return name if argument.required or name.startswith("[") else f"[{name}]"


def add_command(
    app: typer.Typer, function: Function, name: str, panel: str | None = None, under: str = ""
) -> None:
    """Makes a function a command of ``app``, with the options that all commands share.

    Args:
        panel: the group in which the help lists it.
        under: the command that ``app`` is, such as ``devices``.
    """
    path = f"{under} {name}".strip()
    add = app.command(name, cls=_Command, rich_help_panel=panel, epilog=examples_of(path))
    add(_with_common_options(function))


def _with_common_options(function: Function) -> Function:
    """The same function for typer, which reads a command's options from its signature."""

    @wraps(function)
    def call(*args: Any, config: Path | None, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        del config  # taken by its callback, before the others are read
        set_detail(_detail(quiet, verbose))
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _COMMON.items()
    ]
    hints = get_type_hints(function, include_extras=True)
    own = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    call.__annotations__ = {**hints, **{name: kind for name, (kind, _) in _COMMON.items()}}
    del call.__wrapped__
    return call


def _detail(quiet: bool, verbose: bool) -> Detail:
    if quiet and verbose:
        raise InputError("Got --quiet and --verbose; give one of them.")
    return Detail.QUIET if quiet else Detail.VERBOSE if verbose else Detail.USUAL
