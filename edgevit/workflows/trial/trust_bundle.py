"""A bundle that somebody else made, and that the user trusts from now on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.trust import trust
from edgevit.common.errors import InputError
from edgevit.common.result import Result
from edgevit.common.tables import Section


@dataclass(frozen=True)
class TrustResult(Result):
    """The bundle that is trusted, as it is now."""

    bundle: Bundle

    def to_dict(self) -> dict[str, Any]:
        return {"bundle": str(self.bundle.path), "manifest_sha256": self.bundle.manifest_sha256}

    def sections(self) -> list[Section]:
        digest = self.bundle.manifest_sha256
        return [f"{self.bundle.path}: trusted as it is now (manifest SHA-256 {digest[:12]})"]


def trust_bundle(bundle: Bundle) -> TrustResult:
    """From now on the models of the bundle are opened without a trial in another process.

    Raises:
        InputError: there is no place of the user's to remember it in.
    """
    if not trust(bundle.manifest_sha256):
        raise InputError(
            "Nothing can be remembered: there is no state folder of yours that can be written to. "
            "Name one: XDG_STATE_HOME=FOLDER edgevit trust BUNDLE"
        )
    return TrustResult(bundle)
