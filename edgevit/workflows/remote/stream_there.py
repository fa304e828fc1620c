"""``edgevit run`` on another machine: its answers come here as they are given there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import DeviceError, InputError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.schema import plain_json
from edgevit.workflows.remote.host_work import bundle_job
from edgevit.workflows.remote.time_limits import picture_work_limit_s, stream_limit_s
from edgevit_runtimes.remote.calls import conversation
from edgevit_runtimes.remote.running import Running
from edgevit_runtimes.remote.ssh import Ssh, connection
from edgevit_runtimes.remote.transfer.send_pictures import send_pictures
from edgevit_runtimes.sources.source_address import Address, Kind, parse

_LONGEST_LINE = 8 << 20  # of a mask on a large picture
_MOST_OTHER_LINES = 1000  # that are no answers, between two of them
_ANSWERS = {"answers", "mask"}  # of a classifier or detector, of a segmentation model


def run_there(
    bundle: Bundle,
    host: str,
    sources: Sequence[str],
    *,
    options: Mapping[str, object] | None = None,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Answers about pictures from here, or about a camera or stream that the device opens.

    Args:
        host: ``user@address``, or a name of ``edgevit devices add``.
        sources: as of ``edgevit run``; pictures and videos are files here, and sent once.
        options: of ``edgevit run``, such as ``{"--top": 5, "--duration": 10}``; True is a switch.
        timeout_s: give the device up after so long; None: as long as the slowest one needs for
            the pictures, or ``--duration`` and half an hour, or without end.

    Yields:
        A line of ``edgevit run --jsonl`` for every answer; ``source`` of a file is its path here.

    Raises:
        InputError: a source cannot be used. DeviceError: as the device says, when it ends.
    """
    progress, address = progress or SilentProgress(), parse(list(sources))
    if address.kind is Kind.STDIN:
        raise InputError("Standard input is not passed on to a device; name files or a camera.")
    files = address.files or ((Path(address.text),) if address.kind is Kind.VIDEO else ())
    with connection(host) as ssh:
        job = bundle_job(ssh, bundle, progress) | {"verb": "stream", "options": _words(options)}
        job, names = _with_sources(ssh, job, address, files, progress)
        limit_s = timeout_s or _limit_s(address, options or {})
        with conversation(ssh, job, endless=True, timeout_s=limit_s) as running:
            running.end_input()
            for answer in _answers(running, host):
                source = str(answer.get("source"))
                yield {**answer, "source": names.get(_name_in_set(source), source)}


def _limit_s(address: Address, options: Mapping[str, object]) -> float | None:
    """None: a camera is answered until a person ends it, or a video is over."""
    if address.kind is Kind.PICTURES:
        return picture_work_limit_s(len(address.files))
    duration_s = options.get("--duration")
    return stream_limit_s(duration_s) if isinstance(duration_s, int | float) else None


def _with_sources(
    ssh: Ssh, job: dict[str, Any], address: Address, files: Sequence[Path], progress: Progress
) -> tuple[dict[str, Any], dict[str, str]]:
    """The job with what is to be opened there; and the files here, by their names there."""
    if not files:
        return job | {"sources": [address.text]}, {}
    named = {f"{number:06}/{file.name}": file for number, file in enumerate(files)}
    sent = {"set": send_pictures(ssh, named, progress), "sources": list(named)}
    return job | sent, {name: str(file) for name, file in named.items()}


def _name_in_set(source: str) -> str:
    """A path there ends with the name that the file has in its set, which has two parts."""
    return "/".join(source.split("/")[-2:])


def _words(options: Mapping[str, object] | None) -> list[str]:
    given = {name: value for name, value in (options or {}).items() if value not in (None, False)}
    return [
        word
        for name, value in given.items()
        for word in ([name] if value is True else [name, str(value)])
    ]


def _answers(running: Running, host: str) -> Iterator[dict[str, Any]]:
    """Lines that are answers; a login shell may print others before them."""
    others = 0
    while line := running.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise DeviceError(f"{host} sent a line of more than {_LONGEST_LINE >> 20} MiB.")
        if line.startswith(b"edgevit: "):
            raise DeviceError(f"{host}: {_reason(line)}")
        if (answer := _answer(line)) is not None:
            others = 0
            yield answer
            continue
        others += 1
        if others > _MOST_OTHER_LINES:
            raise DeviceError(f"{host} sent {others} lines that are no answers; no more are read.")


def _answer(line: bytes) -> dict[str, Any] | None:
    try:
        content = plain_json(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) and _ANSWERS & content.keys() else None


def _reason(line: bytes) -> str:
    """The agent speaks only where it could not begin."""
    from edgevit.common.untrusted.sanitize import harmless

    try:
        return harmless(str(json.loads(line.partition(b" ")[2])["error"]))
    except (ValueError, KeyError, TypeError):
        return "it sent what is no message of edgevit."
