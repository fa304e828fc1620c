"""Former options work, with one warning, until 0.3; a command that is gone names what there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

from edgevit.common.errors import InputError
from edgevit.common.untrusted.credentials import without_passwords
from edgevit.common.untrusted.sanitize import printable

REMOVED_IN = "0.3"
_PARITY = {"--parity-images": "--images", "--parity-count": "--count"}
# By command: the former name, and today's.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "bench": {"--device": "--machine"},
    "export": {"--half-storage": "--fp16-storage", **_PARITY},
    "import": _PARITY,
    "quantize": {
        "--calibration": "--calibration-method",
        "--eval-data": "--val-data",
        "--images": "--count",
    },
    "run": {"--save": "--output"},
    "train": {
        "--ema": "--ema-decay",
        "--guidance": "--feature-distillation",
        "--least-crop": "--min-crop-area",
        "--mix": "--mix-probability",
        "--strength": "--augment-strength",
        "--threads": "--workers",
        "--warmup": "--warmup-epochs",
    },
    "verify": {"--tensors": "--bisect"},
}
_NATIVE_ENGINE = "edgevit has a native engine now: edgevit compile BUNDLE --target native"
# By command: switches that do nothing any more, and why.
GONE: Mapping[str, Mapping[str, str]] = {
    "bench": dict.fromkeys(
        ("--native-kernels", "--no-native-kernels", "--native", "--body"), _NATIVE_ENGINE
    ),
}
# Commands, and why.
GONE_COMMANDS: Mapping[str, str] = {
    "kernel": f"{_NATIVE_ENGINE}. What 'edgevit kernel' built is not used any more, and can be "
    "deleted: superpixel_kernels-*.so in edgevit's cache, ~/.cache/edgevit unless XDG_CACHE_HOME "
    "says otherwise."
}


def with_current_names(arguments: Sequence[str]) -> list[str]:
    """A command line in which former names are replaced by today's; warns of each, once.

    Args:
        arguments: without the program's name; the first that is no option is the command.

    Raises:
        InputError: the command is gone.
    """
    command = next((a for a in arguments if not a.startswith("-")), "")
    if command in GONE_COMMANDS:
        raise InputError(f"'edgevit {command}' is gone: {GONE_COMMANDS[command]}")
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return [*_current(command, arguments[:end]), *arguments[end:]]


def _current(command: str, arguments: Sequence[str]) -> Iterator[str]:
    names, gone = RENAMED.get(command, {}), GONE.get(command, {})
    for argument in arguments:
        if argument in gone:
            warn(f"{argument} does nothing, and goes with edgevit {REMOVED_IN}: {gone[argument]}")
        else:
            yield _renamed(argument, names)


def _renamed(argument: str, names: Mapping[str, str]) -> str:
    name, equals, value = argument.partition("=")
    if name not in names:
        return argument
    warn(f"{name} is called {names[name]} now; the former name works until edgevit {REMOVED_IN}")
    return f"{names[name]}{equals}{value}"


def warn(text: str) -> None:
    """One line on standard error."""
    print(f"warning: {printable(without_passwords(text))}", file=sys.stderr)
