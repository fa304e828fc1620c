"""Results of a bench on several devices, in one file of ``edgevit bench --fleet --output``."""

from __future__ import annotations

from typing import Any

FLEET_KIND = "edgevit bench of a fleet"


def fleet_results(content: Any) -> dict[str, Any] | None:
    """The results in such a document, by device; None if it is of another kind.

    Devices on which the bench failed are left out.
    """
    if not isinstance(content, dict) or content.get("kind") != FLEET_KIND:
        return None
    devices = content.get("devices")
    found = devices.items() if isinstance(devices, dict) else ()
    return {
        name: result for name, result in found if isinstance(result, dict) and "error" not in result
    }
