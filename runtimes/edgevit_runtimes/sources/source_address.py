"""What a person may name as a source, told apart; and its name without credentials.

``photo.jpg`` ``photos/`` ``'*.jpg'``   pictures
``clip.mp4``                          a video file
``0`` ``/dev/video0``                   a webcam
``rtsp://`` ``http://``                 a network stream
``csi://0``                           a camera on a Jetson's CSI connector
``v4l2src ! ...``                     a GStreamer pipeline, told by its exclamation mark
``-``                                 JPEGs on standard input
"""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from msgspec import Struct

from edgevit.bundle.bundle import is_onnx_file
from edgevit.common.errors import InputError
from edgevit.common.untrusted.bounded import open_regular
from edgevit.common.untrusted.credentials import without_passwords
from edgevit.images import image_files, image_io
from edgevit.images.image_io import IMAGE_SUFFIXES, UNREAD_SUFFIXES

_GLOB = re.compile(r"[*?\[]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_WEBCAM = re.compile(r"(?:/dev/video)?([0-9]{1,4})")
_SECRET_IN_PATH = re.compile(
    r"((?:pass(?:wor[dt])?|pwd|pw|token|key|secret|auth|user(?:name)?)=)[^/&;]*", re.IGNORECASE
)
_PICTURE_SUFFIXES = IMAGE_SUFFIXES | UNREAD_SUFFIXES  # of the latter, an error says so
_VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}  # to name one in a hint
_SNIFFED_BYTES = 512
_PRINTABLE = bytes([*b"\t\n\r\f", *range(32, 127), *range(128, 256)])
_PLAYLISTS = (b"#EXTM3U", b"v=0")  # HLS, SDP
_NETWORK = {"rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp", "srt"}


class Kind(Enum):
    """What is read in the same way."""

    PICTURES = "pictures"
    VIDEO = "a video file"
    WEBCAM = "a webcam"
    NETWORK = "a network stream"
    HTTP = "an HTTP stream"
    CSI = "a CSI camera"
    PIPELINE = "a GStreamer pipeline"
    STDIN = "standard input"


class Address(Struct, frozen=True):
    """A source that was named, and how to call it in outputs."""

    kind: Kind
    text: str
    files: tuple[Path, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether frames come at a pace of their own; standard input may also be a file."""
        return self.kind not in (Kind.PICTURES, Kind.VIDEO)

    @property
    def name(self) -> str:
        """Without user, password, query or pipeline properties: fit for logs and pages."""
        if self.kind is Kind.PIPELINE:
            elements = [part.split()[0] for part in self.text.split("!") if part.strip()]
            return " ! ".join(map(without_credentials, elements))
        if self.kind in (Kind.PICTURES, Kind.VIDEO):
            return self.text
        return without_credentials(self.text)


def without_credentials(url: str) -> str:
    """``rtsp://user:secret@host/path?token=x`` as ``rtsp://host/path``.

    Other texts stay as they are, but for what looks like a user and a password.
    """
    if not (scheme := _SCHEME.match(url)):
        return without_passwords(url)
    authority, slash, path = url[scheme.end() :].partition("/")
    host = re.split(r"[?#]", authority.rpartition("@")[2])[0]
    if "@" in path:  # an unescaped slash in the password: what is before the @ is no path
        host, slash, path = path.rpartition("@")[2].partition("/")
    path = re.split(r"[?#]", path)[0]
    return scheme.group() + host + slash + _SECRET_IN_PATH.sub(r"\1***", path)


def parse(texts: list[str]) -> Address:
    """One source; several texts only where all of them name pictures.

    Raises:
        InputError: nothing of that name, or things that cannot be read together.
    """
    if not all(texts):
        raise InputError("A source has an empty name. Give '.' for the pictures of this folder.")
    addresses = [_parse_one(text) for text in texts]
    if len(addresses) == 1:
        return addresses[0]
    others = [a for a in addresses if a.kind is not Kind.PICTURES]
    if others:
        raise InputError(
            f"Got {len(addresses)} sources, among them {others[0].kind.value} ({others[0].name}). "
            "Only pictures are read together; start edgevit once for every camera or video."
        )
    files = tuple(file for address in addresses for file in address.files)
    return Address(Kind.PICTURES, f"{len(files)} pictures", files)


def _parse_one(text: str) -> Address:
    if text == "-":
        return Address(Kind.STDIN, "standard input")
    if " ! " in text and not os.path.lexists(text):
        return Address(Kind.PIPELINE, text)
    if scheme := _SCHEME.match(text):
        return _parse_url(text, scheme.group(1).lower())
    if (webcam := _WEBCAM.fullmatch(text)) and not _is_own_file(text):
        return Address(Kind.WEBCAM, f"/dev/video{webcam.group(1)}")
    return _parse_path(text)


def _is_own_file(text: str) -> bool:
    """A folder may be called 2024."""
    return text.isdecimal() and Path(text).exists()


def _parse_url(text: str, scheme: str) -> Address:
    if scheme == "csi":
        if not re.fullmatch(r"csi://[0-9]{1,2}", text, re.IGNORECASE):
            raise InputError(
                f"'{without_credentials(text)}' names no CSI camera. Expected csi://0, csi://1, ..."
            )
        return Address(Kind.CSI, text)
    if scheme not in _NETWORK:
        raise InputError(
            f"{without_credentials(text)}: streams of '{scheme}://' are not read. Give one of "
            f"{', '.join(f'{s}://' for s in sorted(_NETWORK))}, a file or a camera."
        )
    _check_host(text)
    return Address(Kind.HTTP if scheme in ("http", "https") else Kind.NETWORK, text)


def _check_host(text: str) -> None:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(
            f"{without_credentials(text)} has no usable host and port. Expected something like "
            "rtsp://192.168.1.20:554/stream; escape special characters of a password (%2F for /)."
        )


def _parse_path(text: str) -> Address:
    path = Path(text)
    if path.is_dir():
        return Address(Kind.PICTURES, text, _pictures_in(path))
    if not path.exists() and _GLOB.search(text):
        return Address(Kind.PICTURES, text, _matches(path))
    shown = without_credentials(text)
    is_named_picture = path.suffix.lower() in _PICTURE_SUFFIXES and shown == text
    if image_io.is_picture(path) or is_named_picture:
        return Address(Kind.PICTURES, text, (path,))
    if not path.is_file():
        raise InputError(
            f"No such image or video: {shown}. Give files, a folder, a webcam (0 or /dev/video0), "
            "rtsp://, http://, csi://0, a GStreamer pipeline, or - for JPEGs on standard input."
        )
    if is_onnx_file(path):
        raise InputError(
            f"{text} is an ONNX model, no picture or video. Import it with: edgevit import "
            f"{quote(text)} --classes FILE; and name the bundle before the pictures."
        )
    if _is_text(path):
        raise InputError(
            f"{text} holds text, no picture or video. A source is a picture, a folder, a video or "
            "a camera; a bundle, which is a folder, goes before it."
        )
    return Address(Kind.VIDEO, text)


def _pictures_in(folder: Path) -> tuple[Path, ...]:
    """Raises InputError where there are none; it names a video that is there instead."""
    listing = image_files.list_images(folder)
    if listing.files:
        return listing.files
    others = listing.left_out.get(image_files.OTHER, ())
    videos = [file for file in others if file.suffix.lower() in _VIDEO_SUFFIXES]
    if videos:
        raise InputError(
            f"{folder} holds no image, but videos. These are answered one at a time; give the file "
            f"itself: {quote(str(videos[0]))}"
        )
    raise image_files.no_image(folder, listing)


def _is_text(file: Path) -> bool:
    """By its first bytes; lists of a stream's parts are text too, and read as a video."""
    with open_regular(file, "video") as opened:
        start = opened.read(_SNIFFED_BYTES)
    is_printable = not start.translate(None, _PRINTABLE)
    return bool(start) and is_printable and not start.startswith(_PLAYLISTS)


def _matches(pattern: Path) -> tuple[Path, ...]:
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    relative = pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern
    matches = (f for f in root.glob(str(relative)) if not image_files.is_hidden(f))
    found = sorted(f for f in matches if f.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError(f"No image matches '{without_credentials(str(pattern))}'.")
    return tuple(found)
