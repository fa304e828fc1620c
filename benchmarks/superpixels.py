"""Superpixel quality against ground truth: edgevit's in-graph SLIC and scikit-image's.

    python benchmarks/superpixels.py BSDS500            # the table
    python benchmarks/superpixels.py BSDS500 --sweep    # how the settings were chosen
    python benchmarks/superpixels.py BSDS500 --pictures out/superpixels

BSDS500 is a folder of NAME.jpg with NAME_gt.npz (``segmentation`` uint16 [annotators, H, W]).
Pictures are squashed to 224x224, as the models see them, ground truth with them. scikit-image is
asked for more and more segments until it returns at least as many as edgevit has, picture by
picture, so that nobody wins by having more of them. Scores are means over annotators and pictures:

- boundary recall: share of true boundary pixels with a superpixel boundary within 2 pixels;
- undersegmentation error (Neubert and Protzel, 2012): pixels that leak, over all pixels;
- achievable segmentation accuracy: the best that a labelling of whole superpixels can reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edgevit import images
from edgevit.models.layers import patch_rows
from edgevit.models.superpixels import Superpixels
from edgevit.report import print_json, print_table
from edgevit.spec import LlaSpec, Preprocess, SuperpixelSpec

SIZE_PX = 224
TOLERANCE_PX = 2
GRIDS = {16: (4, 4), 49: (7, 7), 100: (10, 10), 196: (14, 14)}
SKIMAGE_COMPACTNESS = (10.0, 20.0)

Labels = NDArray[np.int32]
Segmenter = Callable[[images.Image], Labels]


@dataclass(frozen=True)
class Sample:
    """A picture, uint8 [224, 224, 3], and what annotators made of it, [annotators, 224, 224]."""

    name: str
    picture: images.Image
    truth: Labels


@dataclass(frozen=True)
class Score:
    segments: float
    boundary_recall: float
    undersegmentation_error: float
    achievable_accuracy: float


def load(folder: Path, count: int | None) -> list[Sample]:
    """The first pictures of BSDS500, squashed like a model's input."""
    samples = []
    for file in sorted(folder.glob("*.jpg"))[:count]:
        truth = np.load(file.with_name(f"{file.stem}_gt.npz"))["segmentation"]
        squashed = [
            cv2.resize(t, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_NEAREST) for t in truth
        ]
        picture = images.resize(images.read(file), Preprocess(SIZE_PX))
        samples.append(Sample(file.stem, picture, np.stack(squashed).astype(np.int32)))
    return samples


def edgevit_slic(superpixels: SuperpixelSpec) -> Segmenter:
    """The op that the models contain, through torch (ONNX Runtime gives the same labels)."""
    spec = LlaSpec("quality", 192, 3, 1, superpixels=superpixels)
    op = Superpixels(spec)

    def segment(picture: images.Image) -> Labels:
        patches = patch_rows(torch.from_numpy(picture[None].copy()), spec.patch_px)
        cells = op.label_map(op.slic(patches))[0].numpy()
        return np.asarray(np.kron(cells, np.ones((superpixels.cell_px,) * 2, np.int32)), np.int32)

    return segment


def skimage_slic(at_least: Segmenter, compactness: float) -> Segmenter:
    """scikit-image's SLIC with no fewer segments than another segmenter has on that picture."""
    from skimage.segmentation import slic

    def segment(picture: images.Image) -> Labels:
        wanted = len(np.unique(at_least(picture)))
        asked = wanted
        while True:
            labels = slic(picture, asked, compactness=compactness, start_label=0)
            if len(np.unique(labels)) >= wanted:
                return np.asarray(labels, np.int32)
            asked += max(1, asked // 20)

    return segment


def boundaries(labels: Labels) -> NDArray[np.uint8]:
    """1 where a pixel differs from its right or lower neighbour."""
    edges = np.zeros(labels.shape, np.uint8)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    return edges


def score(labels: Labels, truth: Labels) -> Score:
    """Means over the annotators."""
    _, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(truth.shape[1:]).astype(np.int32)
    reach = np.ones((2 * TOLERANCE_PX + 1,) * 2, np.uint8)
    near = cv2.dilate(boundaries(labels), reach)
    parts = np.array([_against(labels, near, one) for one in truth]).mean(0)
    return Score(float(labels.max() + 1), *map(float, parts))


def _against(labels: Labels, near: NDArray[np.uint8], truth: Labels) -> tuple[float, float, float]:
    size = truth.max() + 1
    pairs = np.bincount((labels * size + truth).ravel(), minlength=(labels.max() + 1) * size)
    overlap = pairs.reshape(-1, size)
    inside = overlap.sum(1, keepdims=True)
    true_edges = boundaries(truth).astype(bool)
    recall = near[true_edges].mean() if true_edges.any() else 1.0
    leak = np.minimum(overlap, inside - overlap).sum() / labels.size
    return float(recall), float(leak), float(overlap.max(1).sum() / labels.size)


def mean_score(samples: Iterable[Sample], segment: Segmenter) -> Score:
    rows = [vars(score(segment(s.picture), s.truth)).values() for s in samples]
    return Score(*np.mean([list(row) for row in rows], axis=0))


def compare(samples: list[Sample]) -> list[dict[str, Any]]:
    """One row a method and K."""
    rows = []
    for count, grid in GRIDS.items():
        ours = edgevit_slic(SuperpixelSpec(grid))
        methods = {"edgevit": ours}
        for compactness in SKIMAGE_COMPACTNESS:
            methods[f"scikit-image m={compactness:g}"] = skimage_slic(ours, compactness)
        for name, segment in methods.items():
            rows.append({"k": count, "method": name, **vars(mean_score(samples, segment))})
    return rows


def sweep(samples: list[Sample]) -> list[dict[str, Any]]:
    """edgevit alone: cell size, rounds, compactness."""
    settings = [(4, t, 20.0) for t in (1, 2, 3, 4, 5, 8)]
    settings += [(4, 3, m) for m in (5.0, 10.0, 15.0, 30.0, 40.0)]
    settings += [(2, 3, 20.0), (8, 3, 20.0)]
    rows = []
    for count, grid in GRIDS.items():
        for cell, rounds, compactness in settings:
            segment = edgevit_slic(SuperpixelSpec(grid, cell, rounds, compactness))
            name = f"cell {cell} px, {rounds} rounds, m={compactness:g}"
            rows.append({"k": count, "method": name, **vars(mean_score(samples, segment))})
    return rows


def draw(samples: list[Sample], folder: Path) -> list[Path]:
    """Side by side, edgevit left and scikit-image right, one file a picture and K."""
    from edgevit.drawing import draw_superpixels

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for sample in samples:
        for count in (16, 49):
            ours = edgevit_slic(SuperpixelSpec(GRIDS[count]))
            pair = [
                draw_superpixels(cv2.resize(sample.picture, (672, 672)), segment(sample.picture))
                for segment in (ours, skimage_slic(ours, SKIMAGE_COMPACTNESS[0]))
            ]
            file = folder / f"{sample.name}_k{count}.png"
            images.write(file, np.hstack(pair))
            files.append(file)
    return files


def main() -> None:
    arguments = _arguments()
    samples = load(arguments.bsds500, arguments.count)
    if arguments.pictures:
        print("\n".join(map(str, draw(samples[:6], arguments.pictures))))
        return
    rows = sweep(samples) if arguments.sweep else compare(samples)
    if arguments.json:
        print_json(rows)
        return
    table = [
        (
            str(row["k"]),
            row["method"],
            f"{row['segments']:.1f}",
            f"{row['boundary_recall']:.3f}",
            f"{row['undersegmentation_error']:.4f}",
            f"{row['achievable_accuracy']:.4f}",
        )
        for row in rows
    ]
    columns = ("K", "method", "segments", "boundary recall", "underseg. error", "ASA")
    title = f"BSDS500, {len(samples)} pictures"
    print_table(title, columns, table, numeric=("K", *columns[2:]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bsds500", type=Path, help="folder of NAME.jpg and NAME_gt.npz")
    parser.add_argument("--count", type=int, help="only the first so many pictures")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
