"""What a person may hand to a model as pictures, as uint8 RGB [H, W, 3]."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from msgspec import Struct

from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit_runtimes.sources.capture_request import Orientation
from edgevit_runtimes.sources.source_address import Kind, parse

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Source: TypeAlias = Union[str, "os.PathLike[str]", "np.ndarray[Any, Any]", "PilImage"]
AS_IT_IS = Orientation()
_CHANNELS = (1, 3, 4)
_TENSOR_LIBRARIES = ("torch", "jax", "jaxlib", "tensorflow")
_WIDE_MODES = ("I", "F")  # of PIL: more than 8 bits, which its conversion to RGB cuts off


class Picture(Struct, frozen=True):
    """A picture and where it is from.

    load: gives the same pixels again; of a file, by reading it.
    notes: what is to be said of how it was read, such as that the first of many frames was taken.
    """

    source: str
    pixels: Image
    load: Callable[[], Image]
    notes: tuple[str, ...] = ()


class ReadOptions(Struct, frozen=True):
    """bgr: arrays have blue first, as OpenCV's have. orientation: how every picture is turned."""

    bgr: bool = False
    orientation: Orientation = AS_IT_IS


def pictures_of(
    source: Source | Iterable[Source], options: ReadOptions
) -> tuple[Iterator[Picture], bool]:
    """The pictures of a source, read one after the other, and whether it stands for just one.

    Args:
        source: a picture, folder or glob by name; an array, uint8 RGB [H, W, 3], grey [H, W] or
            RGBA; a PIL image; an iterable of these.

    Raises:
        InputError: what cannot be read, or is not a picture; it says what to hand over instead.
    """
    if isinstance(source, str | os.PathLike):
        return _files(source, options)
    if isinstance(source, np.ndarray):
        return iter([_from_array(source, options)]), True
    if _is_pil(source):
        return iter([_from_pil(source, options)]), True
    return _from_each(source, options), False


def _from_each(source: Any, options: ReadOptions) -> Iterator[Picture]:
    library = type(source).__module__.partition(".")[0]
    if isinstance(source, bytes | dict) or not isinstance(source, Iterable):
        raise _no_picture(source)
    if library in _TENSOR_LIBRARIES:
        raise _no_picture(source)
    return _each(source, options)


def _each(source: Iterable[Any], options: ReadOptions) -> Iterator[Picture]:
    number = -1
    for number, one in enumerate(source):
        if isinstance(one, list | tuple):
            raise InputError(f"Item {number} of the list is a list itself. Give one flat list.")
        yield from pictures_of(one, options)[0]
    if number < 0:
        raise InputError("Got no pictures: the list is empty. Give at least one.")


def files_of(name: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The picture files that a name stands for.

    Raises:
        InputError: there is nothing of that name, or it is a video or a camera.
    """
    text = os.fspath(name)
    if not isinstance(name, str) and not Path(name).is_absolute():
        text = os.path.join(".", text)  # noqa: PTH118  (a Path is never a camera's number)
    address = parse([text])
    if address.kind is not Kind.PICTURES:
        raise InputError(
            f"{address.name} is {address.kind.value}, not a picture. Follow it with "
            "'edgevit run', or in Python: for result in model.stream(source)."
        )
    return address.files


def read_file(file: Path, orientation: Orientation) -> Image:
    """A picture file, turned: uint8 RGB [H, W, 3]."""
    return orientation.apply(image_io.read(file))


def from_file(file: Path, options: ReadOptions) -> Picture:
    """A picture file. Raises InputError where it cannot be read."""
    read = image_io.read_picture(file)
    load = partial(read_file, file, options.orientation)
    return Picture(str(file), options.orientation.apply(read.pixels), load, read.notes)


def _files(name: str | os.PathLike[str], options: ReadOptions) -> tuple[Iterator[Picture], bool]:
    if options.bgr:
        raise InputError(
            f"bgr=True is for arrays with blue first; {os.fspath(name)} is read from a file, whose "
            "colours are known. Leave it out."
        )
    files = files_of(name)
    return (from_file(file, options) for file in files), files == (Path(name),)


def _from_array(array: np.ndarray[Any, Any], options: ReadOptions) -> Picture:
    _refuse_array(array)
    pixels = array[:, :, None] if array.ndim == 2 else array
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    pixels = pixels[:, :, 2::-1] if options.bgr else pixels[:, :, :3]
    return _kept("array", np.ascontiguousarray(pixels), options)


def _from_pil(image: Any, options: ReadOptions) -> Picture:
    if options.bgr:
        raise InputError("bgr=True is for arrays with blue first; a PIL image is not. Omit it.")
    if image.mode.startswith(_WIDE_MODES):
        raise InputError(
            f"A PIL image of mode '{image.mode}' has more than 8 bits a channel. Give the path of "
            "its file, or scale it to 8 bits yourself."
        )
    from PIL import ImageOps  # the caller has PIL, or there were no image

    try:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        raise InputError(f"The PIL image cannot be decoded: {error}.") from error
    name = getattr(image, "filename", "") or "PIL image"
    return _kept(str(name), np.asarray(upright, np.uint8), options)


def _kept(source: str, pixels: Image, options: ReadOptions) -> Picture:
    if not pixels.size:
        raise InputError(f"The {source} is empty, of shape {list(pixels.shape)}.")
    turned = options.orientation.apply(pixels)
    return Picture(source, turned, lambda: turned)


def _refuse_array(array: np.ndarray[Any, Any]) -> None:
    """Raises InputError, with the line that mends it, for what is no picture."""
    got = f"got {array.dtype}{list(array.shape)}"
    wanted = "A picture is uint8 RGB [H, W, 3]"
    if not array.size:
        raise InputError(f"{wanted}; {got}, which is empty. Did the camera give a frame?")
    if array.ndim == 4:
        raise InputError(f"{wanted}; {got}. Give a batch as a list: model(list(batch)).")
    if array.ndim == 3 and array.shape[2] not in _CHANNELS and array.shape[0] in _CHANNELS:
        raise InputError(f"{wanted}; {got}, channels first. Give array.transpose(1, 2, 0).")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        raise InputError(f"{wanted}, grey [H, W] or RGBA; {got}.")
    if array.dtype != np.uint8:
        raise InputError(f"{wanted}; {got}. {_as_uint8(array)}")


def _as_uint8(array: np.ndarray[Any, Any]) -> str:
    if array.dtype.kind == "f":
        return (
            "If it is 0 to 1, give (255 * array).round().astype('uint8'); normalised values cannot "
            "be used, the model normalises itself."
        )
    if array.dtype.kind == "b":
        return "Give 255 * array.astype('uint8')."
    return "Scale it to 0 to 255 and give array.astype('uint8')."


def _is_pil(source: object) -> bool:
    """Without importing PIL: who has one of its images has imported it."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


def _no_picture(source: object) -> InputError:
    kind = f"{type(source).__module__}.{type(source).__qualname__}".removeprefix("builtins.")
    hint = ""
    if kind == "torch.Tensor":
        hint = " For one of 0 to 1, [3, H, W]: (255 * tensor).byte().permute(1, 2, 0).numpy()."
    return InputError(
        "A picture is a path, a uint8 RGB array [H, W, 3], a PIL image, or a list of these; got "
        f"{kind}.{hint}"
    )
