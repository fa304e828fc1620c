"""A named source, opened.

What opens it is imported then: an HTTP client takes half as long to import as OpenCV does.
"""

from __future__ import annotations

from edgevit.common.errors import InputError
from edgevit_runtimes.sources.capture_request import CaptureRequest
from edgevit_runtimes.sources.frame import Source
from edgevit_runtimes.sources.source_address import Address, Kind

STALL_S = 5.0
_CAMERAS = (Kind.WEBCAM, Kind.CSI)
_FILES = (Kind.PICTURES, Kind.VIDEO)
_OF_JPEGS = (Kind.STDIN, Kind.HTTP)
_PIPELINES = (Kind.CSI, Kind.PIPELINE)


def open_source(address: Address, request: CaptureRequest, stall_s: float = STALL_S) -> Source:
    """Opens a source; also again, after it was lost.

    Args:
        stall_s: a live source that sends nothing for so long is lost.

    Raises:
        InputError: it cannot be opened, or is asked for what it cannot give.
    """
    refuse_unused(address, request)
    if address.kind is Kind.PICTURES:
        from edgevit_runtimes.sources.picture_source import PictureSource

        return PictureSource(address.files)
    if address.kind in _OF_JPEGS and (jpegs := _open_jpegs(address, stall_s)):
        return jpegs
    return _open_opencv(address, request, stall_s)


def _open_jpegs(address: Address, stall_s: float) -> Source | None:
    """JPEGs where they are sent; None for anything else (HLS, a video), which FFmpeg may read."""
    from edgevit_runtimes.sources import jpeg_stream

    if address.kind is Kind.STDIN:
        return jpeg_stream.open_stdin()
    return jpeg_stream.open_http(address.text, stall_s)


def _open_opencv(address: Address, request: CaptureRequest, stall_s: float) -> Source:
    from edgevit_runtimes.sources import opencv_source

    if address.kind is Kind.VIDEO:
        return opencv_source.open_video(address)
    if address.kind is Kind.WEBCAM:
        return opencv_source.open_webcam(address, request)
    if address.kind in _PIPELINES:
        return opencv_source.open_pipeline(address, request, stall_s)
    return opencv_source.open_network(address, stall_s)


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
