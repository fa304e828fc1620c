"""What superpixels bring to segmentation: ``lla_tiny_seg`` against the same model on squares.

    python benchmarks/training/superpixels_against_squares.py CAMVID --void 11 \\
        --epochs 40 --seeds 0 1 2

Both are trained with the same recipe, pictures and seeds, exported, and evaluated in ONNX Runtime
at the pictures' own size: mIoU, and mIoU within 3 pixels of borders of labels, which is where
superpixels should differ. A run that is finished is kept in ``--output`` and not trained again;
one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.progress import PlainProgress
from edgevit.inference.dense.segmentation_metrics import BORDER_PX
from edgevit.results.dense.segmentation_result import SegmentationResult
from edgevit.training.state import STATE_FILE
from edgevit.workflows.evaluate import evaluate
from edgevit.workflows.export import export
from edgevit.workflows.train import train

MODELS = ("lla_tiny_seg", "lla_tiny_seg_squares")
_FOUND = "found.json"
_HEADS = ("model", "epochs", "seeds", "mIoU %", f"mIoU % within {BORDER_PX} px of borders")


def main() -> None:
    arguments = _arguments()
    rows = []
    for seed in arguments.seeds:
        for model in MODELS:
            folder = arguments.output / f"{model}.{arguments.epochs}.seed{seed}"
            rows.append(_known(folder) or _measured(model, seed, folder, arguments))
    print(json.dumps(rows) if arguments.json else "\n".join(table(rows)))


def _known(folder: Path) -> dict[str, Any] | None:
    file = folder / _FOUND
    return json.loads(file.read_text()) if file.is_file() else None


def _measured(model: str, seed: int, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    progress = PlainProgress()
    done = train(
        model,
        data=arguments.data,
        output=folder,
        resume=(folder / STATE_FILE).is_file(),
        epochs=arguments.epochs,
        seed=seed,
        void=arguments.void,
        classes=arguments.classes,
        threads=arguments.threads,
        device=arguments.device,
        progress=progress,
    )
    bundle = folder / "it.edgevit"
    export(model, bundle, checkpoint=done.weights, force=True, progress=progress)
    found = evaluate(Bundle.open(bundle), arguments.data, void=arguments.void, progress=progress)
    assert isinstance(found, SegmentationResult)
    row = {
        "model": model,
        "seed": seed,
        "epochs": arguments.epochs,
        "miou": found.miou,
        "border_miou": found.border_miou,
        "images": found.images,
        "training_seconds": done.seconds,
    }
    (folder / _FOUND).write_text(json.dumps(row))
    return row


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table: means over the seeds, with the lowest and the highest."""
    lines = [f"| {' | '.join(_HEADS)} |", "|---" * len(_HEADS) + "|"]
    for model in MODELS:
        mine = [row for row in rows if row["model"] == model]
        figures = (_range([row[key] for row in mine]) for key in ("miou", "border_miou"))
        cells = (f"`{model}`", str(mine[0]["epochs"]), str(len(mine)), *figures)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _range(shares: list[float]) -> str:
    mean = 100 * sum(shares) / len(shares)
    if len(shares) == 1:
        return f"{mean:.2f}"
    return f"{mean:.2f} ({100 * min(shares):.2f} to {100 * max(shares):.2f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="train and val, each with images and labels")
    parser.add_argument("--void", type=int)
    parser.add_argument("--classes", type=Path, help="names of the classes, a line each")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, default=Path("out/superpixels_against_squares"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
