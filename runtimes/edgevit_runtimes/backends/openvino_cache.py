"""Compiled OpenVINO models, kept to start faster the next time, and checked before they are used.

OpenVINO's own cache loads whatever stands in its folder, and answers wrong from a damaged file. So
a compiled model is kept here, behind its SHA-256, and handed to OpenVINO from memory. What does
not fit its hash is compiled anew, and where nothing can be kept, nothing is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.storage.cache import writable_cache
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.hashes import checked_sha256

_DIGEST_BYTES = 32
_MOST_FILES = 24
_HERE = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")


@dataclass(frozen=True)
class Compiling:
    """What a compiled model depends on.

    core: an ``openvino.Core``. source: the ONNX file; None: nothing is to be kept.
    part: which model of it, where it is split in two. options: OpenVINO's, of compiling and
    opening.
    """

    core: Any
    source: Path | None
    part: str
    options: Mapping[str, Any]

    @property
    def key(self) -> str:
        import openvino

        machine = [str(self.core.get_property("CPU", name)) for name in _HERE]
        source = checked_sha256(self.source) if self.source else ""
        options = sorted(self.options.items())
        facts = (openvino.__version__, machine, source, self.part, options)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def compiled_model(wanted: Compiling, compile_it: Callable[[], Any]) -> Any:
    """A compiled model from the cache, or compiled now and kept."""
    folder = writable_cache("openvino") if wanted.source else None
    if folder is None:
        return compile_it()
    file = folder / f"{wanted.key}.compiled"
    content = _read(file)
    if content is not None:
        with suppress(RuntimeError):  # of another build of OpenVINO: compiled anew
            return wanted.core.import_model(io.BytesIO(content), "CPU", dict(wanted.options))
    compiled = compile_it()
    _keep(file, compiled)
    return compiled


def _read(file: Path) -> bytes | None:
    """What was kept, if it is whole."""
    try:
        content = file.read_bytes() if file.is_file() else b""
    except OSError:
        return None
    digest, model = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return model if hashlib.sha256(model).digest() == digest else None


def _keep(file: Path, compiled: Any) -> None:
    stream = io.BytesIO()
    compiled.export_model(stream)
    content = stream.getvalue()
    whole = hashlib.sha256(content).digest() + content
    with suppress(InputError, OSError):  # a full disk costs the next start some time, no more
        write_atomically(file, lambda aside: aside.write_bytes(whole))
        others = set(file.parent.glob("*.compiled")) - {file}  # it is the newest, whatever its time
        for oldest in sorted(others, key=lambda each: each.stat().st_mtime)[: 1 - _MOST_FILES]:
            oldest.unlink(missing_ok=True)
