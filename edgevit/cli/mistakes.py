"""What a mistyped command line is told: what was wrong, what was expected, and a line that works.

The errors are click's, which each version of typer words in its own way; what is said here depends
on the options themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any

from edgevit.cli.examples import COMMAND_NAMES, EXAMPLES

# What other programs call an option, and what it is called here.
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "--lr": ("--learning-rate",),
    "--batch-size": ("--batch",),
    "--dataset": ("--data",),
    "--weights": ("--checkpoint", "--init"),
    "--pretrained": ("--init",),
    "--gpu": ("--device",),
    "--img-size": ("--image-px", "--size"),
    "--image-size": ("--image-px", "--size"),
    "--fp16": ("--precision", "--fp16-storage"),
    "--out": ("--output",),
    "--confidence": ("--unsure-below",),
    "--source": ("--images",),
}
_BUNDLE_NAMES = ("--model", "--bundle", "-m", "--engine", "--weights")
_OTHER_COMMANDS: Mapping[str, str] = {
    "classify": "run",
    "detect": "run",
    "segment": "run",
    "infer": "run",
    "serve": "run",
    "evaluate": "eval",
    "test": "eval",
    "validate": "eval",
    "convert": "export",
    "benchmark": "bench",
    "finetune": "train",
    "fit": "train",
    "setup": "devices",
    "info": "inspect",
}
# By the first words of the types' names, which differ between click and typer.
_NUMBERS: Mapping[str, str] = {
    "float": "a number",
    "int": "a whole number",
    "integer": "a whole number",
}
# What a word too many was most likely meant for.
_MEANT: Mapping[str, str] = {
    "export": "--model",
    "import": "--classes",
    "train": "--data",
    "quantize": "--data",
    "compile": "--target",
    "verify": "--images",
    "deploy": "--host",
    "doctor": "--host",
    "profile": "--variant",
}


def explained(error: Any, words: list[str]) -> str:
    """What to say of a usage error, without the way to the help.

    Args:
        error: click's UsageError.
        words: the command line, without ``edgevit``.
    """
    said = " ".join(error.format_message().split())
    kind = type(error).__name__
    if kind == "MissingParameter":
        return f"{said.rstrip('.')}.{_example(error)}"
    if kind == "NoSuchOption":
        return _unknown_option(error)
    if kind == "BadParameter" and getattr(error.param, "param_type_name", "") == "option":
        return _bad_value(error, words) or said
    if "No such command" in said:
        return said + _other_command(said, words)
    if "unexpected extra argument" in said:
        return _word_too_many(said, error)
    return said


def _command(error: Any) -> str:
    """``run`` or ``devices add``; empty where there is none."""
    path = error.ctx.command_path if error.ctx else ""
    return str(path.partition(" ")[2])


def _example(error: Any) -> str:
    examples = EXAMPLES.get(_command(error))
    return f" For example: 'edgevit {examples[0]}'." if examples else ""


def _options(error: Any) -> set[str]:
    params: Iterable[Any] = error.ctx.command.params if error.ctx else ()
    options = (each for each in params if each.param_type_name == "option")
    return {name for each in options for name in each.opts if name.startswith("--")}


def _unknown_option(error: Any) -> str:
    name, known = error.option_name, _options(error)
    said = f"No such option: {name}"
    named = [other for other in _OTHER_NAMES.get(name, ()) if other in known]
    if found := named or get_close_matches(name, sorted(known - {"--help"}), 3, 0.7):
        return f"{said}. Did you mean {', '.join(found)}?"
    if name in _BUNDLE_NAMES and _takes_bundle(error):
        return f"{said}. The bundle is named without an option.{_example_with_bundle(error)}"
    return f"{said}."


def _takes_bundle(error: Any) -> bool:
    return any("BUNDLE" in str(each.metavar) for each in error.ctx.command.params)


def _example_with_bundle(error: Any) -> str:
    examples = EXAMPLES.get(_command(error), ())
    found = next((each for each in examples if ".edgevit" in each), None)
    return f" For example: 'edgevit {found}'." if found else ""


def _bad_value(error: Any, words: list[str]) -> str | None:
    """None where the option is of a kind that is not described here."""
    expected = _expected(error.param)
    got = _value_of(error.param.opts, words)
    if expected is None or got is None:
        return None
    name = max(error.param.opts, key=len)
    return f"Invalid value for '{name}': got '{got}'; expected {expected}.{_share(error, got)}"


def _expected(param: Any) -> str | None:
    """Such as ``a number from 0 to 1``."""
    if choices := getattr(param.type, "choices", None):
        return "one of " + ", ".join(str(getattr(each, "value", each)) for each in choices)
    what = _NUMBERS.get(param.type.name.partition(" ")[0])
    low, high = _limit(param, "min"), _limit(param, "max")
    if what is None or (low is None and high is None):
        return what
    if low is None:
        return f"{what}, at most {high}"
    return f"{what}, at least {low}" if high is None else f"{what} from {low} to {high}"


def _limit(param: Any, which: str) -> Any:
    return getattr(param.type, which, None)


def _value_of(names: list[str], words: list[str]) -> str | None:
    """What the command line says behind an option, for the last time."""
    found = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in names:
            found = following
        elif word.partition("=")[0] in names:
            found = word.partition("=")[2]
    return found


def _share(error: Any, got: str) -> str:
    """Says a percentage as the option wants it."""
    try:
        number = float(got.removesuffix("%"))
    except ValueError:
        return ""
    if _limit(error.param, "max") == 1 and 1 < number <= 100:
        return f" {number:g} % is {number / 100:g}."
    return f" Leave out the % sign: {number:g}." if got.endswith("%") else ""


def _other_command(said: str, words: list[str]) -> str:
    word = next((each for each in words if each in said and not each.startswith("-")), "")
    if (other := _OTHER_COMMANDS.get(word)) is not None:
        return f" Did you mean '{other}'?"
    if word and word not in COMMAND_NAMES and Path(word).exists():
        return f" To answer a picture, a folder or a video: 'edgevit run {quote(word)}'."
    return ""


def _word_too_many(said: str, error: Any) -> str:
    words = re.search(r"\((?!s\))(.+)\)", said)
    option = _MEANT.get(_command(error))
    if option is None or words is None:
        return f"{said.rstrip('.')}.{_example(error)}"
    first = words[1].split()[0]
    return f"{said.rstrip('.')}. Options have names: did you mean {option} {first}?"
