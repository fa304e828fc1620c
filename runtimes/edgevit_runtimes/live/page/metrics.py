"""How a run stands, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from edgevit_runtimes.live.statistics import LATENCY, STAGES, Statistics
from edgevit_runtimes.live.status import About

_QUANTILES = {50: "0.5", 90: "0.9", 99: "0.99"}


class Metrics(Collector):
    """Read from the statistics whenever they are asked for; nothing is counted twice.

    Args:
        viewers: how many pages are open.
    """

    def __init__(self, about: About, statistics: Statistics, viewers: Callable[[], int]) -> None:
        self._about, self._statistics, self._viewers = about, statistics, viewers
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def encoded(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the format that an Accept header prefers, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        statistics = self._statistics
        about = asdict(self._about)
        facts = {name: str(value) for name, value in about.items() if name != "colours"}
        info = GaugeMetricFamily("edgevit_info", "What is running.", labels=list(facts))
        info.add_metric(list(facts.values()), 1)
        yield info
        counts = statistics.counts()
        reconnects = counts.pop("reconnects")
        frames = CounterMetricFamily(
            "edgevit_frames", "Frames by what became of them.", labels=["state"]
        )
        for state, count in counts.items():
            frames.add_metric([state], count)
        yield frames
        yield CounterMetricFamily("edgevit_reconnects", "Times the source came back.", reconnects)
        for name, text, value in (
            ("source_connected", "1 while the source is there.", statistics.feed.connected),
            ("answers_per_second", "Of the last sixty answers.", statistics.recent_fps),
            ("last_answer_age_seconds", "Of the newest.", statistics.since_answer_s),
            ("viewers", "Open pages.", self._viewers()),
        ):
            yield GaugeMetricFamily(f"edgevit_{name}", text, value)
        yield _summary("stage_seconds", "Parts of a frame's way.", statistics, STAGES)
        latency = (LATENCY,)
        yield _summary("answer_latency_seconds", "Capture to answer.", statistics, latency)


def _summary(name: str, text: str, statistics: Statistics, stages: tuple[str, ...]) -> Metric:
    """A summary with quantiles, which the library's own family of that kind cannot hold."""
    metric = Metric(f"edgevit_{name}", text, "summary")
    for stage in stages:
        durations, labels = statistics.durations[stage], {"stage": stage}
        for percent, quantile in _QUANTILES.items():
            value = durations.percentile_ms(percent)
            seconds = float("nan") if value is None else value / 1e3
            metric.add_sample(metric.name, {**labels, "quantile": quantile}, seconds)
        metric.add_sample(f"{metric.name}_sum", labels, durations.total_s)
        metric.add_sample(f"{metric.name}_count", labels, durations.count)
    return metric
