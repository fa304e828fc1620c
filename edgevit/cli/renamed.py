"""Options that got a better name: the former one works until 0.3, with one warning."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

REMOVED_IN = "0.3"
# By command: the former name, and today's.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "bench": {"--native": "--native-kernels", "--body": "--no-native-kernels"},
    "export": {"--half-storage": "--fp16-storage"},
    "quantize": {"--calibration": "--calibration-method"},
    "train": {
        "--ema": "--ema-decay",
        "--guidance": "--feature-distillation",
        "--least-crop": "--min-crop-area",
        "--mix": "--mix-probability",
        "--strength": "--augment-strength",
        "--warmup": "--warmup-epochs",
    },
    "verify": {"--tensors": "--bisect"},
}


def with_current_names(arguments: Sequence[str]) -> list[str]:
    """A command line in which former names are replaced by today's; warns of each, once.

    Args:
        arguments: without the program's name; the first that is no option is the command.
    """
    command = next((a for a in arguments if not a.startswith("-")), "")
    names = RENAMED.get(command, {})
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return [*(_current(argument, names) for argument in arguments[:end]), *arguments[end:]]


def _current(argument: str, names: Mapping[str, str]) -> str:
    name, equals, value = argument.partition("=")
    if name not in names:
        return argument
    print(
        f"warning: {name} is called {names[name]} now; the former name works until edgevit "
        f"{REMOVED_IN}",
        file=sys.stderr,
    )
    return f"{names[name]}{equals}{value}"
