"""A named source, opened."""

from __future__ import annotations

from collections.abc import Callable

from edgevit.common.errors import InputError
from edgevit_runtimes.sources import jpeg_stream, opencv_source
from edgevit_runtimes.sources.capture_request import CaptureRequest
from edgevit_runtimes.sources.frame import Source
from edgevit_runtimes.sources.picture_source import PictureSource
from edgevit_runtimes.sources.source_address import Address, Kind

STALL_S = 5.0
_CAMERAS = (Kind.WEBCAM, Kind.CSI)
_FILES = (Kind.PICTURES, Kind.VIDEO)


def open_source(address: Address, request: CaptureRequest, stall_s: float = STALL_S) -> Source:
    """Opens a source; also again, after it was lost.

    Args:
        stall_s: a live source that sends nothing for so long is lost.

    Raises:
        InputError: it cannot be opened, or is asked for what it cannot give.
    """
    refuse_unused(address, request)
    openers: dict[Kind, Callable[[], Source]] = {
        Kind.PICTURES: lambda: PictureSource(address.files),
        Kind.VIDEO: lambda: opencv_source.open_video(address),
        Kind.STDIN: jpeg_stream.open_stdin,
        Kind.WEBCAM: lambda: opencv_source.open_webcam(address, request),
        Kind.CSI: lambda: opencv_source.open_pipeline(address, request, stall_s),
        Kind.PIPELINE: lambda: opencv_source.open_pipeline(address, request, stall_s),
        Kind.HTTP: lambda: _open_http(address, stall_s),
        Kind.NETWORK: lambda: opencv_source.open_network(address, stall_s),
    }
    return openers[address.kind]()


def _open_http(address: Address, stall_s: float) -> Source:
    """JPEGs where they are sent; anything else (HLS, a video) by FFmpeg."""
    jpegs = jpeg_stream.open_http(address.text, stall_s)
    return jpegs or opencv_source.open_network(address, stall_s)


def refuse_unused(address: Address, request: CaptureRequest) -> None:
    """An option that would do nothing is an error, not a surprise.

    Raises:
        InputError: says which option, and why.
    """
    if request.size_px and address.kind not in _CAMERAS:
        raise InputError(f"--size is asked of a webcam or csi://; {address.name} has its own size.")
    if request.pixel_format and address.kind is not Kind.WEBCAM:
        raise InputError(f"--pixel-format is asked of a webcam; {address.name} has its own.")
    if request.fps and address.kind not in _CAMERAS + _FILES:
        raise InputError(
            f"--fps is asked of a webcam or csi://, or paces a file; {address.name} sends at its "
            "own rate. --every N answers fewer frames."
        )
