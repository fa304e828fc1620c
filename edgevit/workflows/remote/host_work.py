"""verify, eval and compile on another machine: what they need is sent, once; results come back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import refuse_unwritable
from edgevit.common.errors import DeviceError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.schema import plain_json
from edgevit.images.data_folders import validation_folder
from edgevit.images.image_files import files_in
from edgevit.images.image_folder import open_image_folder
from edgevit.images.labelled_boxes.box_folder import annotation_files, open_box_folder
from edgevit.images.labelled_masks.mask_folder import open_mask_folder
from edgevit.images.picture_set import set_name
from edgevit.workflows.remote.remote_result import RemoteResult
from edgevit.workflows.remote.time_limits import compile_limit_s, picture_work_limit_s
from edgevit_runtimes.remote.runs import Follower, bring_bundle, work_there
from edgevit_runtimes.remote.ssh import Ssh, connection
from edgevit_runtimes.remote.transfer.receive_bundle import fetch_bundle
from edgevit_runtimes.remote.transfer.send_pictures import send_pictures

Job = dict[str, Any]


def verify_there(
    bundle: Bundle,
    host: str,
    *,
    images: Path | str | None = None,
    timeout_s: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> RemoteResult:
    """:func:`edgevit.workflows.verify.verify` on a device.

    Args:
        host: ``user@address``, or a name of ``edgevit devices add``.
        images: a folder of pictures here; they are sent once.
        timeout_s: give up after so long; None: as long as the slowest device needs.
        options: those of ``verify``; but ``repair``, which changes the bundle.

    Raises:
        DeviceError: the device cannot be reached, or refuses. CheckFailedError: as there.
    """
    progress = progress or SilentProgress()
    with connection(host) as ssh:
        files = _unlabelled(images)
        job = {**bundle_job(ssh, bundle, progress), **_sent(ssh, images, files, progress)}
        job["options"] = options
        limit_s = timeout_s or picture_work_limit_s(len(files))
        said = work_there(ssh, bundle.path.name, "verify", job, Follower(progress, limit_s))
    return _result(host, said)


def evaluate_there(
    bundle: Bundle,
    host: str,
    data: Path | str,
    *,
    timeout_s: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> RemoteResult:
    """:func:`edgevit.workflows.evaluate.evaluate` on a device.

    Args:
        data: labelled pictures here, as the model's task wants them; each is sent once.
        timeout_s: give up after so long; None: as long as the slowest device needs.
        options: ``variant``, ``threads``, ``skip_corrupt``, and ``void`` of a segmentation model.

    Raises:
        InputError: the folder cannot be used. DeviceError, CheckFailedError: as the device says.
    """
    progress = progress or SilentProgress()
    root = validation_folder(Path(data))
    files = _labelled(bundle, root, progress)
    with connection(host) as ssh:
        job = {**bundle_job(ssh, bundle, progress), **_sent(ssh, root, files, progress)}
        job["options"] = options
        limit_s = timeout_s or picture_work_limit_s(len(files))
        said = work_there(ssh, bundle.path.name, "eval", job, Follower(progress, limit_s))
    return _result(host, said)


def compile_there(
    bundle: Bundle,
    host: str,
    target: str = "auto",
    *,
    images: Path | str | None = None,
    timeout_s: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> RemoteResult:
    """:func:`edgevit.workflows.compile.compile_bundle` on a device, for the bundle here.

    The bundle gets what was compiled there, as if it had been compiled here.

    Args:
        images: a folder of pictures here; they are sent once.
        timeout_s: give up after so long; None: as long as the slowest device needs.
        options: those of ``compile_bundle``.

    Raises:
        InputError: the bundle here cannot be changed. DeviceError, CheckFailedError: as there.
    """
    progress = progress or SilentProgress()
    refuse_unwritable(bundle)
    with connection(host) as ssh:
        files = _unlabelled(images)
        job = {**bundle_job(ssh, bundle, progress), **_sent(ssh, images, files, progress)}
        job["options"] = {"target": target, **options}
        limit_s = timeout_s or compile_limit_s(len(files))
        said = work_there(ssh, bundle.path.name, "compile", job, Follower(progress, limit_s))
        fetch_bundle(ssh, str(said.get("compiled")), bundle, progress)
    result = _result(host, said)
    return RemoteResult(host, {**result.document, "bundle": str(bundle.path)}, result.text)


def bundle_job(ssh: Ssh, bundle: Bundle, progress: Progress) -> Job:
    """A job's beginning: the bundle, which is there then, and its name for people."""
    return {"bundle": bring_bundle(ssh, bundle, progress), "name": bundle.path.name}


def _labelled(bundle: Bundle, root: Path, progress: Progress) -> Sequence[Path]:
    """The pictures of a folder that can be used, and the files that hold their labels."""
    if bundle.manifest.task == "segmentation":
        masks = open_mask_folder(root, None, progress)
        return [*masks.files, *masks.labels]
    if bundle.manifest.task == "detection":
        boxes = open_box_folder(root, progress, bundle.manifest.classes)
        return [*boxes.files, *annotation_files(root)]
    return open_image_folder(root, progress).files


def _unlabelled(folder: Path | str | None) -> Sequence[Path]:
    return () if folder is None else files_in(Path(folder))


def _sent(ssh: Ssh, root: Path | str | None, files: Sequence[Path], progress: Progress) -> Job:
    """Pictures below a folder, sent; as the device finds them. Nothing where there is none."""
    if root is None:
        return {}
    name = set_name(Path(root))
    named = {f"{name}/{file.relative_to(root).as_posix()}": file for file in files}
    return {"set": send_pictures(ssh, named, progress), "set_name": name}


def _result(host: str, said: Job) -> RemoteResult:
    try:
        checked = plain_json(json.dumps(said))
    except ValueError as error:
        raise DeviceError(f"{host} sent what is no result of edgevit ({error}).") from error
    return RemoteResult.of(host, checked)
