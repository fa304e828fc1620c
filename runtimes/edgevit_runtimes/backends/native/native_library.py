"""libedgevit by ctypes: the C interface of ``runtimes/native/include/edgevit.h`` in Python."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

from edgevit.common.errors import DamagedError, EdgevitError, InputError
from edgevit.common.installation.install_command import install_again_command, pip_install

LIBRARY = Path(__file__).parent / "libedgevit.so"
LIBRARY_VARIABLE = "EDGEVIT_NATIVE_LIBRARY"  # another build of it
_ABI = 1
_MESSAGE_BYTES = 1024
_DAMAGED, _OTHER_VERSION = 2, 3


class NativeInfo(ctypes.Structure):
    """height, width: of the picture. map_rows, map_columns: 0 without superpixels."""

    height: int
    width: int
    classes: int
    map_rows: int
    map_columns: int
    operations: int
    arena_bytes: int

    _fields_ = (
        ("height", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("classes", ctypes.c_uint32),
        ("map_rows", ctypes.c_uint32),
        ("map_columns", ctypes.c_uint32),
        ("operations", ctypes.c_uint32),
        ("arena_bytes", ctypes.c_uint64),
    )


def library_path() -> Path:
    """Where the library is looked for."""
    given = os.environ.get(LIBRARY_VARIABLE)
    return Path(given) if given else LIBRARY


def is_built() -> bool:
    return library_path().is_file()


def is_usable() -> bool:
    """Whether it was built, and can be loaded here; ``edgevit doctor`` says why it cannot."""
    try:
        return is_built() and library() is not None
    except InputError:
        return False


@cache
def library() -> Any:
    """The loaded library.

    Raises:
        InputError: it was not built, or cannot be loaded here.
    """
    path = library_path()
    if not path.is_file():
        raise InputError(
            f"The native engine was not built when edgevit was installed ({path} is missing). "
            f"Install a C++ compiler (sudo apt install g++, or {pip_install()} ziglang), then "
            f"install edgevit again: {install_again_command()}"
        )
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise InputError(f"The native engine {path} cannot be loaded: {error}.") from error
    _declare(loaded)
    if loaded.edgevit_abi_version() != _ABI:
        raise InputError(
            f"The native engine {path} has interface {loaded.edgevit_abi_version()}, this edgevit "
            f"needs {_ABI}. Install edgevit again: {install_again_command()}"
        )
    return loaded


def _declare(loaded: Any) -> None:
    handle, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    number = ctypes.c_uint32
    out = ctypes.POINTER(ctypes.c_void_p)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "edgevit_abi_version": (number, []),
        "edgevit_open": (ctypes.c_int, [text, out, text, size]),
        "edgevit_open_memory": (ctypes.c_int, [text, size, out, text, size]),
        "edgevit_close": (None, [handle]),
        "edgevit_describe": (None, [handle, ctypes.POINTER(NativeInfo)]),
        "edgevit_operation_name": (text, [handle, number]),
        "edgevit_operation_kind": (text, [handle, number]),
        "edgevit_isa_name": (text, [number]),
        "edgevit_isa_usable": (ctypes.c_int, [number]),
        "edgevit_context_create": (ctypes.c_int, [handle, number, text, out, text, size]),
        "edgevit_context_free": (None, [handle]),
        "edgevit_context_isa": (text, [handle]),
        "edgevit_run_profiled": (ctypes.c_int, [handle, handle, size, handle, handle, handle]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments


def instruction_sets() -> dict[str, bool]:
    """Those that the library was built with, the fastest first, and whether they run here."""
    loaded, found, place = library(), {}, 0
    while name := loaded.edgevit_isa_name(place):
        found[name.decode()] = bool(loaded.edgevit_isa_usable(place))
        place += 1
    return found


class NativeModel:
    """An open model and one context of it.

    Args:
        model: a file, or its bytes.
        threads: of an inference, 1 to 16.
        isa: the name of an instruction set; by default the fastest that this processor has.

    Raises:
        DamagedError: the file was refused.
        InputError: it cannot be read, or threads or isa do not fit.
    """

    def __init__(self, model: Path | bytes, threads: int = 1, isa: str | None = None) -> None:
        self._library = library()
        self._message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        self._model, self._context = ctypes.c_void_p(), ctypes.c_void_p()
        self._open(model)
        try:
            self._check(
                self._library.edgevit_context_create(
                    self._model,
                    threads,
                    isa.encode() if isa else None,
                    ctypes.byref(self._context),
                    self._message,
                    _MESSAGE_BYTES,
                )
            )
        except EdgevitError:
            self.close()
            raise
        self.info = NativeInfo()
        self._library.edgevit_describe(self._model, ctypes.byref(self.info))

    def _open(self, model: Path | bytes) -> None:
        given = (ctypes.byref(self._model), self._message, _MESSAGE_BYTES)
        if isinstance(model, bytes):
            self._check(self._library.edgevit_open_memory(model, len(model), *given))
        else:
            self._check(self._library.edgevit_open(os.fsencode(model), *given))

    def _check(self, status: int) -> None:
        if status == 0:
            return
        kind = DamagedError if status in (_DAMAGED, _OTHER_VERSION) else InputError
        raise kind(f"The native engine cannot open the model: {self._message.value.decode()}.")

    @property
    def isa(self) -> str:
        return str(self._library.edgevit_context_isa(self._context).decode())

    @property
    def operations(self) -> list[tuple[str, str]]:
        """(name, kind) of each, in order."""
        ask = self._library
        return [
            (
                ask.edgevit_operation_name(self._model, place).decode(errors="replace"),
                ask.edgevit_operation_kind(self._model, place).decode(),
            )
            for place in range(self.info.operations)
        ]

    def run(self, rgb: int, logits: int, superpixels: int = 0, nanoseconds: int = 0) -> None:
        """Answers one picture; all arguments are addresses, 0 for what is not wanted.

        Args:
            rgb: uint8 [height, width, 3]. logits: float32 [classes].
            superpixels: int32 [map_rows, map_columns]. nanoseconds: uint64 [operations].

        Raises:
            InputError: the model has no superpixels.
        """
        status = self._library.edgevit_run_profiled(
            self._context, rgb, 0, logits, superpixels or None, nanoseconds or None
        )
        if status:
            raise InputError("The native engine refused the picture: the model has no superpixels.")

    def close(self) -> None:
        self._library.edgevit_context_free(self._context)
        self._library.edgevit_close(self._model)
        self._context, self._model = ctypes.c_void_p(), ctypes.c_void_p()
