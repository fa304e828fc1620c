"""Ends processes at random moments while they change files, and looks at what is left.

    PYTHONPATH=tests python -m support.chaos.run_chaos --kills 1000 --seed 1

prints counts for every kind of edit, and ends with 1 where something was lost: files that are not
as they were before the edit or as they are after it, or that stay over after the next command.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from support.chaos.kills import Edit, Tally, kill_often


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="edits whose name holds this")
    parser.add_argument("--folder", type=Path, help="where to edit; default: for temporary files")
    options = parser.parse_args()
    whole, chance = Tally(), random.Random(options.seed)
    with TemporaryDirectory(dir=options.folder) as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        for edit in _edits(options.only):
            folder = Path(scratch) / edit.name.replace(" ", "-")
            folder.mkdir()
            tally = kill_often(edit, folder, max(1, round(options.kills * edit.share)), chance)
            print(f"{edit.name}: {tally}", flush=True)
            for loss in tally.losses:
                print(f"    {loss}", flush=True)
            _add(whole, tally)
    print(f"all edits: {whole}")
    sys.exit(1 if whole.losses else 0)


def _edits(only: str) -> list[Edit]:
    _load_libraries()
    from support.chaos.bundle_edits import bundle_edits
    from support.chaos.file_edits import file_edits

    return [edit for edit in (*bundle_edits(), *file_edits()) if only in edit.name]


def _load_libraries() -> None:
    """Once, so that a child that is forked begins its edit at once; none of them starts threads."""
    import av
    import torch

    import edgevit.cli
    import edgevit.workflows.quantize
    import edgevit.workflows.verify
    import edgevit_export.convert.export_pipeline
    import edgevit_export.engines.openvino
    import edgevit_export.inspect.expose
    import edgevit_export.quantize.quantize_pipeline
    import edgevit_runtimes.backends.openvino_runner
    import edgevit_runtimes.selection.choose
    import edgevit_runtimes.selection.verify
    from edgevit.common.libraries import is_installed
    from edgevit.common.telemetry import import_quietly

    if is_installed("openvino"):
        import_quietly("openvino")
    torch.set_num_threads(1)
    del av, edgevit, edgevit_export, edgevit_runtimes


def _add(whole: Tally, tally: Tally) -> None:
    whole.kills += tally.kills
    whole.states += tally.states
    whole.ended_before += tally.ended_before
    whole.losses += tally.losses


if __name__ == "__main__":
    main()
