"""One tar or zip archive: which files are in it, and the bytes of each, without unpacking it.

tarfile and zipfile list the members once. A member is then read by its place in the archive, from
any thread and in any order. A zip's members are checked against their CRC, and a tar's against
that of their header: another archive that took its place meanwhile is noticed.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from edgevit.common.errors import InputError
from edgevit.common.untrusted.bounded import open_regular
from edgevit.common.untrusted.parsers import parsing

SUFFIXES = (".tar", ".zip")
_COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MOST_BYTES = 512 << 20  # of a member
_MOST_HEADER_BYTES = 1 << 20  # of a tar's header: a long name, or what pax adds
_MOST_LIST_BYTES = 256 << 20  # of a zip's list of its members: three million of them
_ZIP_HEADER = 30  # then the name and an extra field, whose lengths are in its last four bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    offset: of a tar's bytes, of a zip's local header. stored: bytes in the archive. size: bytes of
    the file. method: of a zip, else None. crc: of a zip's file, of a tar's header.
    """

    name: str
    offset: int
    stored: int
    size: int
    method: int | None = None
    crc: int = 0


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith((*SUFFIXES, *_COMPRESSED_TARS))


def members_of(archive: Path) -> list[Member]:
    """The regular files in an archive, in its order.

    Raises:
        InputError: it is damaged, compressed as a whole, or encrypted.
    """
    if archive.name.lower().endswith(_COMPRESSED_TARS):
        raise InputError(
            f"{archive} is compressed as a whole, so its members cannot be read one by one. "
            "Unpack it to a plain .tar; pictures are compressed already."
        )
    list_members = _zip_members if archive.suffix.lower() == ".zip" else _tar_members
    with (
        parsing(lambda error: InputError(f"{archive} is damaged or no archive: {error}.")),
        open_regular(archive, "archive") as file,
    ):
        return list(list_members(archive, file))


def read_member(archive: Path, member: Member, most_bytes: int = _MOST_BYTES) -> bytes:
    """The bytes of a file in an archive.

    Raises:
        InputError: it is cut off, altered, too large, or cannot be decompressed.
    """
    if not 0 <= min(member.stored, member.size) <= max(member.stored, member.size) <= most_bytes:
        claimed = f"it claims {member.size} bytes; at most {most_bytes} are read"
        raise _damaged(archive, member, claimed)
    with (
        parsing(lambda why: _damaged(archive, member, why)),
        open_regular(archive, "archive") as file,
    ):
        if member.method is None:
            file.seek(member.offset - tarfile.BLOCKSIZE)
            header = _exactly(file, tarfile.BLOCKSIZE, archive, member)
            if zlib.crc32(header) != member.crc:
                raise _damaged(archive, member, "the archive was changed since it was listed")
        else:
            file.seek(member.offset)
            names = struct.unpack("<HH", _exactly(file, _ZIP_HEADER, archive, member)[26:])
            file.seek(sum(names), 1)
        stored = _exactly(file, member.stored, archive, member)
    return stored if member.method is None else _unzipped(stored, archive, member)


class _Headers:
    """An archive of which tarfile or zipfile reads headers only: they believe what sizes these say.

    most_bytes: of a header.
    """

    def __init__(self, archive: Path, file: BinaryIO, most_bytes: int) -> None:
        self._archive, self._file, self._most_bytes = archive, file, most_bytes
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As a file's; without a size, zipfile reads the last 64 KiB."""
        if size > self._most_bytes:
            raise InputError(
                f"{self._archive} is damaged: a header in it claims {size} bytes; at most "
                f"{self._most_bytes} are read. Fetch it again."
            )
        return self._file.read(size if size >= 0 else self._most_bytes)


def _tar_members(archive: Path, file: BinaryIO) -> Iterator[Member]:
    headers = cast(BinaryIO, _Headers(archive, file, _MOST_HEADER_BYTES))
    with tarfile.open(fileobj=headers, mode="r:") as tar:
        last = "its beginning"
        for info in tar:
            last = info.name
            if info.isreg():
                after = file.tell()
                file.seek(info.offset_data - tarfile.BLOCKSIZE)
                crc = zlib.crc32(file.read(tarfile.BLOCKSIZE))
                file.seek(after)
                yield Member(info.name, info.offset_data, info.size, info.size, crc=crc)
            # tarfile keeps every header that it has seen.
            tar.members = []  # type: ignore[attr-defined]
        # It takes a damaged header for the end, which is a block of zeros.
        file.seek(tar.offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise InputError(
                f"{archive} is damaged after {last}: no valid header at byte {tar.offset}. "
                "Fetch it again."
            )


def _zip_members(archive: Path, file: BinaryIO) -> Iterator[Member]:
    with zipfile.ZipFile(cast(BinaryIO, _Headers(archive, file, _MOST_LIST_BYTES))) as found:
        for info in found.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise InputError(f"{archive} is encrypted. Pack its pictures without a password.")
            yield Member(
                info.filename,
                info.header_offset,
                info.compress_size,
                info.file_size,
                info.compress_type,
                info.CRC,
            )


def _unzipped(stored: bytes, archive: Path, member: Member) -> bytes:
    if member.method == zipfile.ZIP_STORED:
        content = stored
    elif member.method == zipfile.ZIP_DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, member.size + 1)
        except zlib.error as error:
            raise _damaged(archive, member, str(error)) from None
    else:
        raise _damaged(archive, member, f"compressed by method {member.method}, not by deflate")
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise _damaged(archive, member, "its CRC is another")
    return content


def _exactly(file: BinaryIO, count: int, archive: Path, member: Member) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise _damaged(archive, member, "the archive ends before it does")
    return content


def _damaged(archive: Path, member: Member, reason: str) -> InputError:
    return InputError(f"{archive}: {member.name} cannot be read: {reason}.")
