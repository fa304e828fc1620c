"""The pictures of a set, each by where it lies: a row of plain values that any machine can read.

A set is any mix of folders, globs and picture files, of tar and zip archives and folders of them,
and of parquet files with a column ``path`` (names of picture files) or ``bytes`` (encoded
pictures).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError, some_of
from edgevit.common.libraries import require_modules
from edgevit.common.untrusted.bounded import native_name, open_regular
from edgevit.common.untrusted.parsers import parsing
from edgevit.images import image_io
from edgevit.images.image_io import Picture
from edgevit.images.shards.archive import Member, is_archive, members_of, read_member
from edgevit.images.shards.image_shards import archives_in, picture_members
from edgevit.workflows.predict.pictures import files_of
from edgevit.workflows.sets.parquet_columns import column_parts

PARQUET = ".parquet"
_PATH, _BYTES = "path", "bytes"
_LARGEST_PARQUET_ROWS = 4096  # of a row group that a worker holds in memory
_LARGEST_GROUP_BYTES = 512 << 20  # of the column in it: twice as much is held while it is read
_NAMES_AT_ONCE, _LONGEST_NAME = 1024, 4096
_FRONT_CODED = "DELTA_BYTE_ARRAY"


@dataclass(frozen=True, slots=True)
class ParquetRow:
    """group: row group. row: in it. footer_crc: of the file as it was listed."""

    group: int
    row: int
    footer_crc: int


@dataclass(frozen=True, slots=True)
class PictureItem:
    """image: the picture's name in outputs. file: that it lies in.

    member: of an archive; row: of a parquet file; neither: the file is it.
    """

    image: str
    file: str
    member: Member | None = None
    row: ParquetRow | None = None

    def picture(self) -> Picture:
        """The picture, decoded now.

        Raises:
            InputError: it is not there any more, or cannot be decoded.
        """
        path = Path(self.file)
        if self.member is not None:
            return image_io.open_picture(read_member(path, self.member), self.image)
        if self.row is not None:
            return image_io.open_picture(_parquet_bytes(path, self.row), self.image)
        return image_io.read_picture(path)


def items_of(sources: Sequence[str]) -> Iterator[PictureItem]:
    """The pictures of a set, in order; only names and places are read, as they are asked for.

    Raises:
        InputError: there is nothing of a name, it holds no picture, or it is damaged.
    """
    is_empty = True
    for source in sources:
        for item in _items(source):
            is_empty = False
            yield item
    if is_empty:
        raise InputError(f"No pictures in {', '.join(sources)}. Give a folder, a glob or archives.")


def _items(source: str) -> Iterator[PictureItem]:
    path = Path(source)
    archives = (path,) if path.is_file() and is_archive(path) else archives_in(path)
    if archives:
        for archive in archives:
            yield from _members(archive)
    elif path.suffix.lower() == PARQUET:
        yield from _rows(path)
    else:
        files = files_of(source)
        if files == (path,) and not path.exists():  # a picture by its suffix alone
            raise InputError(f"No such image: {source}. Give files that are there, or a folder.")
        for file in files:
            yield PictureItem(str(file), str(file))


def _members(archive: Path) -> Iterator[PictureItem]:
    for member in picture_members(members_of(archive)):
        yield PictureItem(f"{archive}/{member.name}", str(archive), member)


def _rows(path: Path) -> Iterator[PictureItem]:
    file = _parquet(path)
    columns = file.schema_arrow.names
    known = next((name for name in (_PATH, _BYTES) if name in columns), None)
    if known is None:
        raise InputError(
            f"{path} has the columns {some_of(columns)}; expected '{_PATH}' with names of "
            f"picture files, or '{_BYTES}' with encoded pictures."
        )
    for parts in column_parts(path, file, known):
        _refuse_large(path, known, parts)
    yield from _named_rows(path) if known == _PATH else _encoded_rows(path, file)


def _refuse_large(path: Path, column: str, parts: list[Any]) -> None:
    """Raises InputError for a row group that is more than a worker should hold in memory."""
    if any(_FRONT_CODED in part.encodings for part in parts):
        raise InputError(
            f"{path} stores '{column}' as {_FRONT_CODED}, in which some bytes may stand for "
            "gigabytes. Write it again in the encoding PLAIN."
        )
    size = sum(part.total_uncompressed_size for part in parts)
    if size > _LARGEST_GROUP_BYTES:
        raise InputError(
            f"{path} holds {size >> 20} MiB of '{column}' in one row group; at most "
            f"{_LARGEST_GROUP_BYTES >> 20} MiB are read at once. Write it again with a smaller "
            "row_group_size."
        )


def _named_rows(path: Path) -> Iterator[PictureItem]:
    batches = _parquet(path, _PATH).iter_batches(batch_size=_NAMES_AT_ONCE, columns=[_PATH])
    while (batch := _next(path, batches)) is not None:
        for value in batch.column(0):  # one at a time: a short dictionary may stand for gigabytes
            with parsing(lambda error: InputError(f"{path} cannot be read: {error}.")):
                name = value.as_py()  # which may be no UTF-8
            if not isinstance(name, str):
                kind = "nothing" if name is None else type(name).__name__
                raise InputError(f"{path}: the column '{_PATH}' holds {kind}, expected a name.")
            if len(name) > _LONGEST_NAME:
                raise InputError(
                    f"{path}: the column '{_PATH}' holds a name of {len(name)} characters; "
                    f"a file's has at most {_LONGEST_NAME}."
                )
            yield PictureItem(name, name)


def _next(path: Path, batches: Iterator[Any]) -> Any:
    with parsing(lambda error: InputError(f"{path} cannot be read: {error}.")):
        return next(batches, None)


def _encoded_rows(path: Path, file: Any) -> Iterator[PictureItem]:
    number, crc = 0, _footer_crc(path)
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if rows > _LARGEST_PARQUET_ROWS:
            raise InputError(
                f"{path} holds {rows} pictures in one row group, which a worker would read at "
                f"once. Write it again with row_group_size={_LARGEST_PARQUET_ROWS} or less."
            )
        for row in range(rows):
            yield PictureItem(f"{path}#{number}", str(path), row=ParquetRow(group, row, crc))
            number += 1


@lru_cache(maxsize=1)
def _row_group(path: Path, group: int, footer_crc: int) -> Any:
    if _footer_crc(path) != footer_crc:
        raise InputError(f"{path} was changed since it was listed. Start again.")
    return _parquet(path, _BYTES).read_row_group(group, columns=[_BYTES]).column(0)


def _footer_crc(path: Path) -> int:
    """Of the part that says where the rows lie, and how many bytes they take."""
    with open_regular(path, "parquet file") as file:
        file.seek(-8, os.SEEK_END)
        size = int.from_bytes(file.read(4), "little")
        file.seek(-8 - size, os.SEEK_END)
        return zlib.crc32(file.read(size))


def _parquet_bytes(path: Path, place: ParquetRow) -> bytes:
    with parsing(lambda error: InputError(f"{path} cannot be read: {error}.")):
        value = _row_group(path, place.group, place.footer_crc)[place.row].as_py()
    if not isinstance(value, bytes):
        raise InputError(f"{path}: the column '{_BYTES}' holds {type(value).__name__}, not bytes.")
    return value


def _parquet(path: Path, column: str | None = None) -> Any:
    """The file; of ``column``, values that it stores once stay so in memory, for any rows."""
    require_modules("Reading a parquet file", "parquet", ["pyarrow"])
    import pyarrow.parquet

    opened = open_regular(path, "parquet file")
    source = native_name(path) or opened
    with parsing(lambda error: InputError(f"{path} is damaged or no parquet file: {error}.")):
        file = pyarrow.parquet.ParquetFile(source)
    if column is None:
        return file
    stored_once = any(map(_is_stored_once, column_parts(path, file, column)))
    return pyarrow.parquet.ParquetFile(source, read_dictionary=[column]) if stored_once else file


def _is_stored_once(parts: list[Any]) -> bool:
    """Whether equal values of a column are stored once; else it is not read as a dictionary."""
    return any("DICTIONARY" in encoding for part in parts for encoding in part.encodings)
