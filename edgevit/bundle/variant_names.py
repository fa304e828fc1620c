"""How variants are named, and what those of bundles made before edgevit 0.2 are called today.

``float``                          the exported model, which all others are made from
``onnx-PRECISION[-TARGET]``        an ONNX file that ``edgevit quantize`` wrote: ``onnx-fp16``,
                                   ``onnx-int8-x86``, ``onnx-int8-openvino``
``RUNTIME[-PROVIDER]-PRECISION``   what ``edgevit compile`` made for a runtime: ``native-int8``,
                                   ``openvino-int8``, ``tensorrt-fp16-sm86``
"""

from __future__ import annotations

import re
from typing import Any

HALF_VARIANT = "onnx-fp16"
_SCHEMES = "onnxruntime-x86-avx2 onnxruntime-x86 onnxruntime-arm openvino tensorrt native"
_FORMER = {"half": HALF_VARIANT}


def int8_variant(scheme: str) -> str:
    """The name of a scheme's INT8 form: ``onnx-int8-x86`` of ``onnxruntime-x86``."""
    return f"onnx-int8-{scheme.removeprefix('onnxruntime-')}"


_FORMER |= {
    f"int8-{scheme}": int8_variant(scheme) for scheme in (*_SCHEMES.split(), "dynamic", "weights")
}
_COMPILED = re.compile(
    r"(?P<target>native|openvino|tensorrt|onnxruntime)(?:-(?P<provider>cuda|tensorrt))?"
    r"-(?P<precision>fp32|fp16|bf16|int8)"
)


def current_name(name: str) -> str:
    """What a variant is called today; other names are given back."""
    return _FORMER.get(name, name)


def compile_options(name: str) -> str | None:
    """The options of ``edgevit compile`` that make a variant of this name; None: none do."""
    match = _COMPILED.fullmatch(name)
    if match is None:
        return None
    provider = f" --provider {match['provider']}" if match["provider"] else ""
    return f"--target {match['target']} --precision {match['precision']}{provider}"


def with_current_names(content: dict[str, Any]) -> dict[str, Any]:
    """A manifest as it was read, its variants under the names of today.

    What is malformed is left for the reader of the manifest to say.
    """
    variants = content.get("variants")
    if not isinstance(variants, dict) or not _FORMER.keys() & variants.keys():
        return content
    if any(current_name(name) in variants for name in _FORMER.keys() & variants.keys()):
        return content
    renamed = {current_name(name): _compiled(entry) for name, entry in variants.items()}
    chosen, machines = content.get("chosen"), content.get("machines")
    found = {**content, "variants": renamed}
    if isinstance(chosen, dict):
        found["chosen"] = {target: _current(variant) for target, variant in chosen.items()}
    if isinstance(machines, dict):
        found["machines"] = {label: _choice(choice) for label, choice in machines.items()}
    return found


def _current(name: Any) -> Any:
    return current_name(name) if isinstance(name, str) else name


def _compiled(entry: Any) -> Any:
    """A variant's entry, whose build says what it was compiled from."""
    build = entry.get("build") if isinstance(entry, dict) else None
    if not isinstance(build, dict) or "source" not in build:
        return entry
    return {**entry, "build": {**build, "source": _current(build["source"])}}


def _choice(choice: Any) -> Any:
    """What was measured on a machine: the variant that was chosen, and a row for each."""
    if not isinstance(choice, dict):
        return choice
    found = dict(choice)
    if "variant" in choice:
        found["variant"] = _current(choice["variant"])
    if isinstance(choice.get("table"), list):
        found["table"] = [
            {**row, "variant": _current(row["variant"])}
            if isinstance(row, dict) and "variant" in row
            else row
            for row in choice["table"]
        ]
    return found
