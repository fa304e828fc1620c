"""Results of a bench on several devices, in one file of ``edgevit bench --fleet --output``."""

from __future__ import annotations

import json

from edgevit.common.schema import plain_json

FLEET_KIND = "edgevit bench of a fleet"


def fleet_results(text: str) -> dict[str, str] | None:
    """The results in such a file, as JSON, by device; None if it is another kind of file.

    Devices on which the bench failed are left out.
    """
    try:
        content = plain_json(text)
    except ValueError:
        return None  # whoever reads it as a result says what is wrong
    if not isinstance(content, dict) or content.get("kind") != FLEET_KIND:
        return None
    devices = content.get("devices")
    found = devices.items() if isinstance(devices, dict) else ()
    return {
        name: json.dumps(result)
        for name, result in found
        if isinstance(result, dict) and "error" not in result
    }
