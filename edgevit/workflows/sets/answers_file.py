"""The parquet file of a set's answers: written aside while they come, there only when it is whole.

    image              string
    label, probability string, float32    the likeliest class
    top_labels         list of strings    the likeliest classes, likeliest first
    top_probabilities  list of float32
    error              string             why there is no answer; null where there is one

The schema's metadata say by which bundle, variant and edgevit the answers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.storage.files import refuse_target, write_atomically
from edgevit.common.untrusted.sanitize import encodable
from edgevit.workflows.sets.answerer import Row
from edgevit.workflows.sets.picture_items import PARQUET

_ROW_GROUP = 1024


def refuse_output(path: Path, force: bool) -> None:
    """Refuses a file that cannot be written, before the work is done.

    Raises:
        InputError: another suffix, a file that is there already, or a place that refuses it.
    """
    if path.suffix.lower() != PARQUET:
        raise InputError(f"--output {path} must end in {PARQUET}.")
    if path.exists() and not force:
        raise InputError(f"{path} exists. Replace it with --force, or choose another name.")
    refuse_target(path)


def write_answers(path: Path, batches: Iterable[list[Row]], origin: Mapping[str, str]) -> None:
    """Writes rows as they come; an error leaves nothing.

    Raises:
        InputError: the disk is full, or refuses the file.
    """
    write_atomically(path, lambda aside: _write(aside, batches, origin))


def _write(path: Path, batches: Iterable[list[Row]], origin: Mapping[str, str]) -> None:
    import pyarrow.parquet

    told = {f"edgevit.{key}": encodable(value) for key, value in origin.items()}
    schema = _schema().with_metadata(told)
    waiting: list[Row] = []
    # pyarrow opens no name that is not UTF-8.
    with path.open("wb") as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for rows in batches:
            waiting += rows
            if len(waiting) >= _ROW_GROUP:
                writer.write_table(pyarrow.Table.from_pylist(waiting, schema))
                waiting = []
        writer.write_table(pyarrow.Table.from_pylist(waiting, schema))


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("image", pa.string()),
            ("label", pa.string()),
            ("probability", pa.float32()),
            ("top_labels", pa.list_(pa.string())),
            ("top_probabilities", pa.list_(pa.float32())),
            ("error", pa.string()),
        ]
    )
