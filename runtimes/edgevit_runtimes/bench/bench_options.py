"""What a bench is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevit.common.errors import InputError
from edgevit_runtimes.backends.open_model import Host

_LONGEST_RUN_S = 86_400
_LARGEST_BATCH, _MOST_SAMPLES = 4096, 10_000_000


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    samples: inferences of the hot run, unless ``max_seconds`` ends it first.
    frames, fps: the camera-paced run.
    warmup: inferences discarded before every run, at the least; more until latency is steady.
    variant: which form of the model; None: the one chosen for this machine or its kind.
    cores, arena: see :class:`edgevit_runtimes.backends.open_model.Host`.
    """

    threads: int = 1
    batch: int = 1
    samples: int = 1000
    frames: int = 150
    fps: float = 30.0
    warmup: int = 50
    max_seconds: float = 60.0
    variant: str | None = None
    cores: tuple[int, ...] | None = None
    arena: bool = True

    @property
    def host(self) -> Host:
        return Host(self.cores, self.arena)

    @property
    def longest_s(self) -> float:
        """Seconds after which whoever waits for this bench on another machine gives up.

        Twice what the runs may take, and half an hour for a dozen processes that load the model.
        """
        return 1800 + 2 * (self.max_seconds + self.frames / self.fps)

    def __post_init__(self) -> None:
        for name in ("threads", "batch", "samples", "frames", "fps", "max_seconds"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise InputError(
                    f"--{name.replace('_', '-')} must be a number above zero; got {value}."
                )
        if self.batch > _LARGEST_BATCH:
            raise InputError(
                f"--batch got {self.batch} pictures; at most {_LARGEST_BATCH} are measured at once."
            )
        if max(self.samples, self.warmup, self.frames) > _MOST_SAMPLES:
            raise InputError(
                f"--samples, --warmup and --frames are at most {_MOST_SAMPLES}; got "
                f"{self.samples}, {self.warmup} and {self.frames}."
            )
        if self.warmup < 0:
            raise InputError(f"--warmup must not be negative; got {self.warmup}.")
        if max(self.max_seconds, self.frames / self.fps) > _LONGEST_RUN_S:
            raise InputError(
                f"A run of {max(self.max_seconds, self.frames / self.fps):g} s was asked for; the "
                f"longest is {_LONGEST_RUN_S} s. Lower --frames or --max-seconds, or raise --fps."
            )
