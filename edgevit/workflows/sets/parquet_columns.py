"""What a parquet file says of a column, such as its size, before any of its values is read.

pyarrow 26 ends the process where what is said of a column does not fit itself:
``RowGroupMetaData.column`` does not catch the exception of the C++ library. Reading the column
meets the same exception and raises it in Python. So every column is first read from a file that
refuses to be read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.untrusted.parsers import parsing


def column_parts(path: Path, file: Any, column: str) -> Iterator[list[Any]]:
    """The metadata of a column in each row group; several a group, where two have the name.

    Args:
        file: the ``pyarrow.parquet.ParquetFile`` of ``path``.

    Raises:
        InputError: what the file says of the column is damaged.
    """
    paths = [file.schema.column(number).path for number in range(len(file.schema))]
    numbers = [n for n, name in enumerate(paths) if name == column or name.startswith(f"{column}.")]
    unread = _unreadable(file.metadata)
    for group in range(file.num_row_groups):
        with parsing(lambda error: InputError(f"{path} is damaged: {error}.")):
            _provoke_exception(unread, group, numbers)
        yield [file.metadata.row_group(group).column(number) for number in numbers]


def _unreadable(metadata: Any) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(_Unreadable(), metadata=metadata)


def _provoke_exception(unread: Any, group: int, numbers: list[int]) -> None:
    """Raises what pyarrow finds wrong with the metadata of these columns."""
    for number in numbers:
        try:
            unread.reader.read_row_group(group, column_indices=[number], use_threads=False)
        except _ValuesAskedError:
            continue


class _ValuesAskedError(Exception):
    """The metadata was understood: values are asked for."""


class _Unreadable(io.RawIOBase):
    """A file of any size whose content nobody gets."""

    _SIZE = 1 << 62

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._SIZE if whence == io.SEEK_END else offset

    def tell(self) -> int:
        return self._SIZE

    def read(self, _size: int = -1, /) -> bytes:
        raise _ValuesAskedError
