"""What was asked of ``edgevit run`` for a feed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.common.libraries import require_modules
from edgevit.common.errors import InputError

_STANDARD_OUTPUT = Path("-")
_LONGEST_S = 31_536_000.0


@dataclass(frozen=True)
class FeedOptions:
    """The options of ``edgevit run`` that a feed has; see its help."""

    top: int
    save: Path | None
    variant: str | None
    threads: int
    json: bool
    serve: str | None
    token: str | None
    show: bool
    jsonl: Path | None
    duration: float | None
    frames: int | None
    every: int
    smooth: float
    bench: bool

    def __post_init__(self) -> None:
        if self.duration is not None and not (0 < self.duration <= _LONGEST_S):
            raise InputError(f"--duration must be above 0 seconds; got {self.duration:g}.")
        if self.save is not None and self.save.suffix.lower() != ".mp4":
            raise InputError(
                f"--save {self.save}: a feed is saved as a video. Give a name that ends in .mp4."
            )
        if self.json and self.jsonl == _STANDARD_OUTPUT:
            raise InputError(
                "--jsonl - and --json both write to standard output. Give --jsonl a file's name."
            )
        if self.save is not None:
            require_modules("Saving a video", "video", ["av"])
        if self.serve is not None:
            require_modules("The page", "serve", ["aiohttp"])
