"""What the tests share; the most used names can be imported from here."""

from support.pictures.arrays import crops, write_png
from support.processes import (
    ROOT,
    SHARED_DATA,
    Command,
    Finished,
    StopAfter,
    begin,
    environment,
    not_root,
    python,
)
from support.zoo import shallow

__all__ = [
    "ROOT",
    "SHARED_DATA",
    "Command",
    "Finished",
    "StopAfter",
    "begin",
    "crops",
    "environment",
    "not_root",
    "python",
    "shallow",
    "write_png",
]
