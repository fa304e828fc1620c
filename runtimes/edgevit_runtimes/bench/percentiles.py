"""Latency percentiles, each only from enough samples to mean something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Samples a percentile needs (MLPerf inference's rule of thumb); fewer, and it is not reported.
MIN_SAMPLES = {50: 1, 90: 64, 99: 662}


def latency_ms(durations_ns: Sequence[int]) -> dict[str, float | int | None]:
    """``{"p50", "p90", "p99", "samples"}`` in milliseconds; None where samples are too few."""
    durations_ms = np.asarray(durations_ns, np.float64) / 1e6
    result: dict[str, float | int | None] = {
        f"p{percent}": round(float(np.percentile(durations_ms, percent)), 4)
        if len(durations_ms) >= needed
        else None
        for percent, needed in MIN_SAMPLES.items()
    }
    return {**result, "samples": len(durations_ms)}
