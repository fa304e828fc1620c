"""Optional libraries: whether they are installed, and what installs them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from edgevit.common.errors import MissingExtraError


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not imported."""
    return find_spec(module) is not None


def require_modules(purpose: str, extra: str, modules: Sequence[str]) -> None:
    """Refuses work whose libraries are not installed, before it begins.

    Args:
        purpose: what needs them, to begin the message with.
        extra: the extra of this package that brings them.

    Raises:
        MissingExtraError: names the first that is missing, and the command that installs it.
    """
    for module in modules:
        if not is_installed(module):
            raise MissingExtraError(purpose, module, extra)
