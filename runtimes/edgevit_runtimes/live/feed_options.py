"""How a feed is answered, and where its answers go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.storage.files import resolved
from edgevit.inference.confidence import UNSURE_BELOW, refuse_threshold
from edgevit_runtimes.live.outputs.json_lines import STANDARD_OUTPUT
from edgevit_runtimes.live.smoothing import Smoothing
from edgevit_runtimes.sources.source_address import Address

_LONGEST_S = 31_536_000.0


@dataclass(frozen=True)
class FeedOptions:
    """How a feed is answered.

    top: classes an answer. every: answer one frame in so many. smooth: seconds that probabilities
    are averaged over. frames, duration: answers, and seconds, after which it ends.
    unsure_below: an answer is unsure where its likeliest class is less probable.
    track: objects of a detector keep a number from frame to frame.

    Raises:
        InputError: one of them is out of its range.
    """

    top: int
    every: int = 1
    smooth: float = 0.0
    frames: int | None = None
    duration: float | None = None
    unsure_below: float = UNSURE_BELOW
    track: bool = False

    def __post_init__(self) -> None:
        refuse_threshold(self.unsure_below)
        if self.duration is not None and not (0 < self.duration <= _LONGEST_S):
            raise InputError(f"--duration must be above 0 seconds; got {self.duration:g}.")
        for name, value in (("--every", self.every), ("--frames", self.frames)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more; got {value}.")
        Smoothing(self.smooth)


@dataclass(frozen=True)
class OutputOptions:
    """Where a feed's answers go; see ``edgevit run --help``.

    Raises:
        InputError: they contradict each other, or what one needs is not installed.
    """

    save: Path | None = None
    serve: str | None = None
    token: str | None = None
    show: bool = False
    jsonl: Path | None = None
    bench: bool = False

    def __post_init__(self) -> None:
        if self.save is not None and self.save.suffix.lower() != ".mp4":
            raise InputError(
                f"--output {self.save}: a feed is saved as a video. Give a name that ends in .mp4."
            )
        if self.save is not None:
            require_modules("Saving a video", "video", ["av"])
        if self.serve is not None:
            require_modules("The page", "serve", ["aiohttp", "prometheus_client"])
        if self.save and self.jsonl and resolved(self.save) == resolved(self.jsonl):
            raise InputError(f"--output and --jsonl both name {self.save}. Name two files.")

    @property
    def uses_standard_output(self) -> bool:
        """Whether lines for programs go there."""
        return self.jsonl == STANDARD_OUTPUT

    def refuse_overwriting(self, source: Address) -> None:
        """Raises InputError where an output is the source itself."""
        own = {resolved(Path(source.text)), *(resolved(file) for file in source.files)}
        for target in (self.save, self.jsonl):
            if target is not None and resolved(target) in own:
                raise InputError(f"{target} is the source itself. Name another place.")
