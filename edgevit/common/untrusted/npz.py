"""Arrays from an ``.npz`` file that somebody else made: sizes are checked before they are believed.

numpy takes the memory that an array's header asks for before it reads the array, and a zip file of
some kilobytes may unfold to gigabytes. Both are read here from what the file really holds.
"""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from edgevit.common.untrusted.bounded import open_regular

_SUFFIX = ".npy"
_MOST_HEADER_BYTES = 10_000


def read_npz(path: Path, most_bytes: int) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file, by name; objects are refused, nothing is executed.

    Args:
        most_bytes: of all arrays together, unpacked.

    Raises:
        InputError: there is no such file, or it is no regular one.
        ValueError: no npz file, a damaged one, or one that unfolds to more than ``most_bytes``.
    """
    with open_regular(path, "npz file") as file:
        try:
            with ZipFile(file) as archive:
                members = archive.infolist()
                unpacked = sum(member.file_size for member in members)
                if unpacked > most_bytes:
                    raise ValueError(
                        f"it unfolds to {unpacked} bytes; at most {most_bytes} are read"
                    )
                return {m.filename.removesuffix(_SUFFIX): _array(archive, m) for m in members}
        except ValueError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise what they like
            raise ValueError(f"it is no npz file, or a damaged one: {error}") from error


def _array(archive: ZipFile, member: ZipInfo) -> NDArray[Any]:
    with archive.open(member) as packed:
        content = BytesIO(packed.read(member.file_size))
    version = np.lib.format.read_magic(content)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(content, _MOST_HEADER_BYTES)
    held = len(content.getbuffer()) - content.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(
            f"{member.filename} claims {dtype}{list(shape)}, which its {held} bytes are not"
        )
    content.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array
