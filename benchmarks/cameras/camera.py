"""The figures of docs/camera.md: what a feed's loop promises, on real streams on loopback.

    python benchmarks/cameras/camera.py slow clip.mp4  # the newest frame, model too slow
    python benchmarks/cameras/camera.py fast clip.mp4  # nothing lost, the loop's own cost
    python benchmarks/cameras/camera.py age clip.mp4  # how old answers are behind a slow decoder
    python benchmarks/cameras/camera.py memory clip.mp4  # an hour's worth of frames, minutes long
    python benchmarks/cameras/camera.py restart clip.mp4  # the camera killed and started again
    python benchmarks/cameras/camera.py viewers clip.mp4  # ten viewers that are stuck, or slow

Prints JSON with the figure, its limit and whether it holds; exit code 1 where one does not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from mjpeg_server import jpegs_of
from stamped_camera import number_in, stamped_camera

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json
from edgevit.images import image_io
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.live.loop import observe
from edgevit_runtimes.live.outputs.annotator import Annotator
from edgevit_runtimes.live.outputs.json_lines import JsonLines
from edgevit_runtimes.live.page.access import Access, Listen
from edgevit_runtimes.live.page.server import PageServer
from edgevit_runtimes.live.statistics import Statistics
from edgevit_runtimes.live.status import About
from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation
from edgevit_runtimes.sources.frame import Decode, Source
from edgevit_runtimes.sources.open_source import open_source
from edgevit_runtimes.sources.source_address import parse

HERE = Path(__file__).parent
CAMERA_FPS = 30.0
HOUR_FRAMES = 108_000
VIEWERS = 10
_FILLING_FRAMES, _FULL_SPEED_FRAMES = 300, 1100
_ADDED_DECODE_S, _STAMPED_BYTES = 0.06, 200_000
_WISH = b'{"outlines":true}'
_ABOUT = About("lla_tiny", "float", "onnxruntime", "here", "clip", True, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", choices=list(FIGURES))
    parser.add_argument("clip")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--frames", type=int, default=HOUR_FRAMES)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    result = FIGURES[options.figure](options)
    print_json(result)
    sys.exit(0 if all(r["holds"] for r in _verdicts(result)) else 1)


def _verdicts(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in result.values():
        if isinstance(value, dict):
            if "holds" in value:
                yield value
            yield from _verdicts(value)


def _verdict(value: float, limit: float) -> dict[str, Any]:
    return {"value": round(value, 3), "limit": round(limit, 3), "holds": value <= limit}


def slow(options: argparse.Namespace) -> dict[str, Any]:
    """Capture to answer, by a model that takes longer than a frame lasts."""
    with tempfile.TemporaryDirectory() as folder, camera(options.clip) as (address, _):
        bundle = Path(folder) / "vit_small.edgevit"
        _edgevit("export", "--model", "vit_small", "--output", bundle)
        lines = Path(folder) / "answers.jsonl"
        summary = _run(bundle, address, "--jsonl", lines, "--duration", options.seconds)
        answers = [json.loads(line)["ms"] for line in lines.read_text().splitlines()]
    work = sorted(a["resize"] + a["inference"] for a in answers)
    latency = sorted(a["latency"] for a in answers)
    interval_ms = 1000 / CAMERA_FPS
    return {
        "answers": len(answers),
        "answers_per_second": summary["fps"],
        "dropped": summary["frames"]["dropped"],
        "model_is_slower_than_the_camera": median(work) > interval_ms,
        "resize_and_inference_ms": _percentiles(work),
        "capture_to_answer_ms": _percentiles(latency),
        "capture_to_answer_p99_ms": _verdict(_p(latency, 99), interval_ms + 1.5 * _p(work, 99)),
    }


def fast(options: argparse.Namespace) -> dict[str, Any]:
    """What is lost, and what is spent besides decoding, resizing and inferring."""
    with camera(options.clip) as (address, _):
        summary = _run(PREBUILT_BUNDLE, address, "--duration", options.seconds)
    waiting = summary["stages_ms"]["waiting"]
    lost = summary["frames"]["captured"] - summary["frames"]["answered"]
    return {
        "frames": summary["frames"],
        "capture_to_answer_ms": summary["capture_to_answer_ms"],
        "stages_ms": summary["stages_ms"],
        "dropped": _verdict(summary["frames"]["dropped"], 0),
        "captured_but_not_answered_when_it_was_stopped": lost,
        "overhead_mean_ms": _verdict(waiting["mean"], 1.0),
        "overhead_p50_ms": _verdict(waiting["p50"], 1.0),
    }


def age(options: argparse.Namespace) -> dict[str, Any]:
    """The true age of what is answered, where decoding takes twice as long as a frame lasts."""
    decode, true_ms, said_ms = image_io.decode, [], []

    def slowly(data: bytes, source: str) -> image_io.Image:
        time.sleep(_ADDED_DECODE_S)
        return decode(data, source)

    image_io.decode = slowly
    with stamped_camera(CAMERA_FPS, _STAMPED_BYTES) as camera:
        address, until_s = parse([camera.address]), time.perf_counter() + options.seconds
        with Feed(lambda: open_source(address, CaptureRequest()), Orientation()) as feed:
            for frame in feed:
                now_s = time.perf_counter()
                true_ms.append(1e3 * (now_s - camera.sent_s[number_in(frame.picture)]))
                said_ms.append(1e3 * now_s - frame.captured_ns / 1e6)
                if now_s > until_s:
                    break
    unseen_ms = sorted(true - said for true, said in zip(true_ms, said_ms, strict=True))
    limit_ms = 1e3 * (2 * _ADDED_DECODE_S + 2 / CAMERA_FPS)
    return {
        "seconds": options.seconds,
        "taken": len(true_ms),
        "dropped": feed.dropped,
        "true_age_ms": _percentiles(sorted(true_ms)),
        "true_age_at_the_end_ms": _verdict(median(true_ms[-10:]), limit_ms),
        "age_that_is_not_said_p90_ms": _verdict(_p(unseen_ms, 90), 1e3 / CAMERA_FPS),
    }


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Resident memory over an hour's worth of frames, with lines written and a page looked at."""
    samples: list[tuple[int, float]] = []
    with ExitStack() as stack:
        loop = stack.enter_context(running_loop(options.clip, repeat=True))
        lines = stack.enter_context(JsonLines(Path(os.devnull)))
        stack.enter_context(viewers(loop.page, 1, every_s=0.5))
        for observation in loop.observations:
            loop.page.publish(observation)
            lines.write(observation, loop.statistics.counts())
            if loop.statistics.answered % 2000 == 0:
                samples.append((loop.statistics.answered, _resident_mib()))
            if loop.statistics.answered >= options.frames:
                break
        fps = loop.statistics.fps
    warm = [mib for frames, mib in samples if frames > options.frames // 10]
    return {
        "frames": samples[-1][0],
        "answers_per_second": round(fps, 1),
        "resident_mib_first_and_last": [samples[0][1], samples[-1][1]],
        "growth_after_warm_up_mib": _verdict(warm[-1] - warm[0], 5.0),
        "spread_after_warm_up_mib": _verdict(max(warm) - min(warm), 5.0),
    }


def restart(options: argparse.Namespace) -> dict[str, Any]:
    """From the server's listening again to the next answer."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, jpeg in enumerate(jpegs_of(options.clip, 90, None)):
            (Path(folder) / f"{number:05d}.jpg").write_bytes(jpeg)
        for name, start in (
            ("mjpeg_over_http", lambda port: camera(options.clip, port)),
            ("rtsp", lambda port: rtsp_camera(folder, port)),
        ):
            waits = [_restart_once(start, Path(folder)) for _ in range(options.rounds)]
            result[name] = {"seconds": waits, **_verdict(max(waits), 3.0)}
    return result


def _restart_once(start: Callable[[int], Any], folder: Path) -> float:
    port, lines = _free_port(), folder / "answers.jsonl"
    lines.write_bytes(b"")
    with start(port) as (address, server):
        run = _popen("run", address, "--jsonl", lines)
        _wait_for_lines(lines, 30)
        server.kill()
        time.sleep(2.0)
    before = lines.read_bytes().count(b"\n")
    with start(port):
        listening_s = time.monotonic()
        _wait_for_lines(lines, before + 1)
        waited_s = time.monotonic() - listening_s
        run.send_signal(signal.SIGINT)
        if run.wait(20) != 0:
            raise SystemExit("the run did not end in order")
    return round(waited_s, 2)


def viewers_figure(options: argparse.Namespace) -> dict[str, Any]:
    """Ten viewers against none: answers a second at full speed, between two runs without any."""
    result: dict[str, Any] = {"viewers": VIEWERS}
    _at_full_speed(options.clip, "none")  # the machine is warm then
    for kind in ("stuck", "slow"):
        without, ratios = [_at_full_speed(options.clip, "none")], []
        for _ in range(options.rounds):
            speed = _at_full_speed(options.clip, kind)
            without.append(_at_full_speed(options.clip, "none"))
            ratios.append((without[-2] + without[-1]) / 2 / speed)
        result[kind] = {
            "answers_per_second_without_viewers": [round(value, 1) for value in without],
            "times_slower": [round(ratio, 3) for ratio in ratios],
            "slowed_percent": _verdict(100 * (median(ratios) - 1), 5.0),
        }
    for kind in ("none", "stuck", "slow"):
        with viewed_loop(options.clip, kind, CAMERA_FPS) as loop:
            for observation in loop.observations:
                loop.page.publish(observation)
        result[f"latency_ms_at_30_fps_{kind}"] = loop.statistics.durations["latency"].summary()
    return result


def _at_full_speed(clip: str, kind: str) -> float:
    """Answers a second, without a camera that would hold the loop back.

    Counted when the connections of those that do not read are full: until then they are shown
    pictures like everybody.
    """
    with viewed_loop(clip, kind, None) as loop:
        for number, observation in enumerate(islice(loop.observations, _FULL_SPEED_FRAMES)):
            loop.page.publish(observation)
            if number == _FILLING_FRAMES:
                started_s = time.perf_counter()
        elapsed_s = time.perf_counter() - started_s
    return (_FULL_SPEED_FRAMES - _FILLING_FRAMES - 1) / elapsed_s


@contextmanager
def viewed_loop(clip: str, kind: str, pace_fps: float | None) -> Iterator[RunningLoop]:
    every_s = {"stuck": None, "slow": 1.0}.get(kind)
    repeat = pace_fps is None
    with running_loop(clip, repeat, pace_fps) as loop, ExitStack() as stack:
        if kind != "none":
            stack.enter_context(viewers(loop.page, VIEWERS, every_s))
        yield loop


class RunningLoop:
    """A loop about a clip, with a page."""

    def __init__(self, statistics: Statistics, page: PageServer, observations: Any) -> None:
        self.statistics, self.page, self.observations = statistics, page, observations


@contextmanager
def running_loop(clip: str, repeat: bool, pace_fps: float | None = None) -> Iterator[RunningLoop]:
    bundle = Bundle.open(PREBUILT_BUNDLE)
    with BundleClassifier(bundle) as classifier, Annotator(bundle) as annotator:
        opened = Repeated if repeat else _opened
        feed = Feed(lambda: opened(clip), Orientation(), pace_fps=pace_fps)
        statistics = Statistics(feed)
        access = Access(Listen("127.0.0.1", 0), None)
        with PageServer(access, _ABOUT, statistics, annotator) as page, feed:
            yield RunningLoop(statistics, page, observe(feed, classifier, statistics))


def _opened(clip: str) -> Source:
    return open_source(parse([clip]), CaptureRequest())


class Repeated:
    """A clip that begins again when it has ended; it is opened anew each time."""

    live, fps, expected, lag_s, is_behind = False, None, None, 0.0, False

    def __init__(self, clip: str) -> None:
        self.name = clip
        self._source = _opened(clip)

    def grab(self) -> bool:
        if not self._source.grab():
            self._source.close()
            self._source = _opened(self.name)
            return self._source.grab()
        return True

    def retrieve(self) -> Decode:
        return self._source.retrieve()

    def close(self) -> None:
        self._source.close()


@contextmanager
def viewers(page: PageServer, count: int, every_s: float | None) -> Iterator[None]:
    """Pages that ask for pictures and read them at their pace; None: that never read."""
    ended = threading.Event()
    connections = [_connect(page.url) for _ in range(count)]
    threads = [
        threading.Thread(target=_view, args=(connection, every_s, ended))
        for connection in connections
    ]
    for thread in threads:
        thread.start()
    while page.viewers < count:
        time.sleep(0.01)
    try:
        yield
    finally:
        ended.set()
        for connection in connections:
            connection.close()
        for thread in threads:
            thread.join()


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # it is stuck at once
    connection.connect((parts.hostname, parts.port))
    connection.sendall(
        f"GET /live HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return connection


def _view(connection: socket.socket, every_s: float | None, ended: threading.Event) -> None:
    wish = b"\x81" + bytes([0x80 | len(_WISH)]) + b"\0\0\0\0" + _WISH  # a mask of zeros
    try:
        if every_s is None:
            connection.sendall(wish * 100)
            ended.wait()
            return
        while not ended.wait(every_s):
            connection.sendall(wish)
            connection.setblocking(False)
            try:
                while connection.recv(1 << 20):
                    continue
            except BlockingIOError:
                connection.setblocking(True)
    except OSError:
        return  # closed, as the block ended


@contextmanager
def camera(clip: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    script = HERE / "mjpeg_server.py"
    with _server([sys.executable, script, clip, "--port", port, "--fps", CAMERA_FPS]) as started:
        yield started


@contextmanager
def rtsp_camera(folder: str, port: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    script = HERE / "rtsp_server.py"
    with _server(["/usr/bin/python3", script, f"{folder}/%05d.jpg", "--port", port]) as started:
        yield started


@contextmanager
def _server(command: list[object]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def _popen(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgevit", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _edgevit(*arguments: object) -> str:
    process = _popen(*arguments)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"edgevit {' '.join(map(str, arguments))}: exit {process.returncode}")
    return out


def _run(*arguments: object) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(_edgevit("run", *arguments, "--json"))
    return summary


def _wait_for_lines(path: Path, count: int) -> None:
    until = time.monotonic() + 30
    while path.read_bytes().count(b"\n") < count:
        if time.monotonic() > until:
            raise SystemExit(f"{count} answers did not come within 30 s")
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


def _p(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]


def _percentiles(ordered: list[float]) -> dict[str, float]:
    return {f"p{percent}": round(_p(ordered, percent), 2) for percent in (50, 90, 99)}


FIGURES = {
    "slow": slow,
    "fast": fast,
    "age": age,
    "memory": memory,
    "restart": restart,
    "viewers": viewers_figure,
}


if __name__ == "__main__":
    main()
