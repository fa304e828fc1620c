"""How long work on a device is waited for where nobody says otherwise, in seconds.

Far above what the slowest device needs: these limits end what would never end. A device that says
nothing at all is given up after two minutes already (:mod:`edgevit_runtimes.remote.calls`).
"""

from __future__ import annotations

_ANY_WORK_S = 1800.0  # to load a large model several times
_PICTURE_S = 10.0  # to decode a picture and answer it by every variant
_COMPILE_S = 6 * 3600.0  # to build and time TensorRT engines of several precisions
_DEPLOY_S = 3600.0  # to verify, after another deployment that does the same


def picture_work_limit_s(pictures: int) -> float:
    """Of verify, eval and run over so many pictures."""
    return _ANY_WORK_S + _PICTURE_S * pictures


def compile_limit_s(pictures: int) -> float:
    """Of compile, with so many pictures to compare on."""
    return _COMPILE_S + _PICTURE_S * pictures


def deploy_limit_s() -> float:
    """Of deploy and its rollback."""
    return _DEPLOY_S


def stream_limit_s(duration_s: float) -> float:
    """Of a camera or stream that is answered for so long."""
    return _ANY_WORK_S + duration_s
