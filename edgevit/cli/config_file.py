"""``--config``: long option lists in a file, as TOML or, where PyYAML is installed, as YAML.

Keys are option names without the dashes (``val-data`` or ``val_data``). Those at the top are the
command's; a table that is named as a command (``[train]``) is read by that command alone::

    [train]
    data = "images"
    epochs = 40
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from edgevit.cli.examples import COMMAND_NAMES
from edgevit.common.errors import InputError, some_of
from edgevit.common.libraries import is_installed
from edgevit.common.untrusted.bounded import read_text
from edgevit.common.untrusted.parsers import parsing
from edgevit.common.untrusted.toml_text import parse_toml

_MOST_BYTES = 1 << 20
_NOT_IN_FILES = {"config", "help"}


def options_of(file: Path, context: typer.Context) -> dict[str, Any]:
    """Values by the parameters' names, as a command's context takes them for defaults.

    Raises:
        InputError: the file cannot be read, or says an option that the command does not have.
    """
    command, names = context.info_name or "", _parameters(context)
    siblings = _siblings(context)
    content = _read(file)
    shared = {key: value for key, value in content.items() if key not in siblings}
    own = content.get(command, {}) if command in siblings else {}
    if not isinstance(own, Mapping):
        raise InputError(f"{file}: {command} is a {type(own).__name__}; expected a table.")
    given = {**shared, **own}
    unknown = [key for key in given if _plain(key) not in names]
    if unknown:
        raise InputError(f"{file}: {_unknown(unknown, context, list(names))}")
    return {names[_plain(key)]: _value(file, key, value) for key, value in given.items()}


def _plain(key: str) -> str:
    return str(key).replace("_", "-")


def _parameters(context: typer.Context) -> dict[str, str]:
    """The command's parameters by the long names of their options, without the dashes."""
    return {
        name.removeprefix("--"): str(parameter.name)
        for parameter in context.command.params
        for name in parameter.opts
        if name.startswith("--") and parameter.name not in _NOT_IN_FILES
    }


def _siblings(context: typer.Context) -> set[str]:
    """Names of the commands beside this one; of edgevit's own, only this one is loaded."""
    group = context.parent
    if group is None or group.parent is None:
        return set(COMMAND_NAMES)
    loaded: Any = group.command
    return set(getattr(loaded, "commands", {}))


def _unknown(keys: list[str], context: typer.Context, known: list[str]) -> str:
    close = get_close_matches(_plain(keys[0]), known, 1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    plural = "options" if len(keys) > 1 else "option"
    return (
        f"'{context.command_path}' has no {plural} {some_of(keys)}.{hint} "
        f"See '{context.command_path} --help'."
    )


def _value(file: Path, key: str, value: Any) -> Any:
    """A number, text, truth value, or a list of these."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float) for item in items):
        raise InputError(
            f"{file}: {key} is a {type(value).__name__}; expected a text, a number, true or false, "
            "or a list of them."
        )
    if any("\0" in item for item in items if isinstance(item, str)):
        raise InputError(f"{file}: {key} holds a NUL character, which no option takes.")
    return value


def _read(file: Path) -> dict[str, Any]:
    text = read_text(file, _MOST_BYTES, "--config file")
    content = _yaml(text, file) if file.suffix.lower() in (".yaml", ".yml") else _toml(text, file)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(f"{file} holds no options; expected lines such as: epochs = 40")
    return content


def _toml(text: str, file: Path) -> Any:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise InputError(f"{file} is not TOML: {error}.") from error


def _yaml(text: str, file: Path) -> Any:
    if not is_installed("yaml"):
        raise InputError(
            f"{file} is YAML, which needs the Python module 'yaml'. Write it as TOML, or install "
            "it with: pip install pyyaml"
        )
    yaml: Any = import_module("yaml")  # without types of its own
    # It raises ValueError, RecursionError and others too, for dates and numbers that are none.
    with parsing(lambda reason: InputError(f"{file} is not YAML: {reason}."), _one_line):
        return yaml.safe_load(text)


def _one_line(error: BaseException) -> str:
    """A YAMLError says over several lines what it found where."""
    return " ".join(str(error).split()) or type(error).__name__
