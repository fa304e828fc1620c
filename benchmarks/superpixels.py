"""Superpixel quality against ground truth: edgevit's in-graph SLIC and scikit-image's.

    python benchmarks/superpixels.py BSDS500            # the table
    python benchmarks/superpixels.py BSDS500 --sweep    # how the settings were chosen
    python benchmarks/superpixels.py BSDS500 --pictures out/superpixels

BSDS500 is a folder of NAME.jpg with NAME_gt.npz (``segmentation`` uint16 [annotators, H, W]).
Pictures are squashed to 224x224, as the models see them, ground truth with them. scikit-image
returns fewer segments than it is asked for, so it is asked for more and more until it passes the
number that edgevit has, and its scores are interpolated to exactly that number, picture by picture:
nobody wins by having more segments. Scores are means over annotators and pictures:

- boundary recall: share of true boundary pixels with a superpixel boundary within 2 pixels;
- undersegmentation error (Neubert and Protzel, 2012): pixels that leak, over all pixels;
- achievable segmentation accuracy: the best that a labelling of whole superpixels can reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edgevit.common.console import print_json, print_table
from edgevit.images import image_io
from edgevit.models.layers import patch_rows
from edgevit.models.superpixel.superpixels import Superpixels
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec

SIZE_PX = 224
TOLERANCE_PX = 2
# Coarse rounds pay while a superpixel has many coarse cells: 49 at K=16, 16 at K=49, 4 at K=196.
SETTINGS = {
    16: SuperpixelSpec((4, 4)),
    49: SuperpixelSpec((7, 7)),
    100: SuperpixelSpec((10, 10), coarse_iterations=0),
    196: SuperpixelSpec((14, 14), coarse_iterations=0),
}
ROUNDS = ((1, 0), (2, 0), (3, 0), (5, 0), (8, 0), (2, 1), (3, 2), (4, 3), (5, 4))  # all, coarse
COMPACTNESS = (10.0, 20.0)  # the libraries' default, and the best for few segments

Labels = NDArray[np.int32]
Segmenter = Callable[[image_io.Image], Labels]
Library = Callable[[image_io.Image, int, float], Labels]


@dataclass(frozen=True)
class Sample:
    """A picture, uint8 [224, 224, 3], and what annotators made of it, [annotators, 224, 224]."""

    name: str
    picture: image_io.Image
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
        picture = image_io.resize(image_io.read(file), Preprocess(SIZE_PX))
        samples.append(Sample(file.stem, picture, np.stack(squashed).astype(np.int32)))
    return samples


def edgevit_slic(superpixels: SuperpixelSpec) -> Segmenter:
    """The op that the models contain, through torch (ONNX Runtime gives the same labels)."""
    spec = LlaSpec("quality", 192, 3, 1, superpixels=superpixels)
    op = Superpixels(spec)

    def segment(picture: image_io.Image) -> Labels:
        patches = patch_rows(torch.from_numpy(picture[None].copy()), spec.patch_px)
        cells = op.label_map(op.slic(patches))[0].numpy()
        return np.asarray(np.kron(cells, np.ones((superpixels.cell_px,) * 2, np.int32)), np.int32)

    return segment


def skimage_slic(picture: image_io.Image, asked: int, compactness: float) -> Labels:
    from skimage.segmentation import slic

    return np.asarray(slic(picture, asked, compactness=compactness, start_label=0), np.int32)


def fast_slic(picture: image_io.Image, asked: int, compactness: float) -> Labels:
    from fast_slic import Slic

    return np.asarray(Slic(num_components=asked, compactness=compactness).iterate(picture))


def with_at_least(
    segment: Library, picture: image_io.Image, wanted: int, compactness: float
) -> tuple[Labels, Labels]:
    """The last segmentation with fewer segments than wanted, and the first with as many.

    The two are the same where the first try has as many.
    """
    asked, below = wanted, None
    while True:
        labels = segment(picture, asked, compactness)
        if len(np.unique(labels)) >= wanted:
            return (labels if below is None else below), labels
        below = labels
        asked += max(1, asked // 20)


def at_equal_segments(segment: Library, sample: Sample, wanted: int, compactness: float) -> Score:
    """A library's scores at a number of segments, between its neighbours on both sides."""
    pair = with_at_least(segment, sample.picture, wanted, compactness)
    below, above = (np.array(list(vars(score(labels, sample.truth)).values())) for labels in pair)
    span = above[0] - below[0]
    share = (wanted - below[0]) / span if span > 0 else 1.0
    return Score(*(below + min(1.0, share) * (above - below)).tolist())


def boundaries(labels: Labels) -> NDArray[np.uint8]:
    """1 where a pixel differs from its right or lower neighbour."""
    edges = np.zeros(labels.shape, np.uint8)
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    return edges


def score(labels: Labels, truth: Labels) -> Score:
    """Means over the annotators."""
    numbered = np.unique(labels, return_inverse=True)[1]
    labels = numbered.reshape(truth.shape[1:]).astype(np.int32)
    reach = np.ones((2 * TOLERANCE_PX + 1,) * 2, np.uint8)
    near = np.asarray(cv2.dilate(boundaries(labels), reach), np.uint8)
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


def mean_score(scores: Iterable[Score]) -> Score:
    return Score(*np.mean([list(vars(one).values()) for one in scores], axis=0))


def compare(samples: list[Sample]) -> list[dict[str, Any]]:
    """One row a method and K."""
    libraries: dict[str, Library] = {"scikit-image": skimage_slic}
    if find_spec("fast_slic") is not None:
        libraries["fast-slic"] = fast_slic
    rows = []
    for count, settings in SETTINGS.items():
        labels = [edgevit_slic(settings)(s.picture) for s in samples]
        ours = [score(one, s.truth) for one, s in zip(labels, samples, strict=True)]
        methods = {"edgevit": ours}
        for name, library in libraries.items():
            for compactness in COMPACTNESS:
                methods[f"{name}, m={compactness:g}"] = [
                    at_equal_segments(library, s, round(one.segments), compactness)
                    for s, one in zip(samples, ours, strict=True)
                ]
        rows += [
            {"k": count, "method": name, **vars(mean_score(scores))}
            for name, scores in methods.items()
        ]
    return rows


def sweep(samples: list[Sample]) -> list[dict[str, Any]]:
    """edgevit alone: what each setting buys, one changed at a time."""
    changes: list[dict[str, Any]] = [{}]
    changes += [{"iterations": t, "coarse_iterations": c} for t, c in ROUNDS]
    changes += [{"compactness": m} for m in (5.0, 10.0, 20.0, 30.0)]
    changes += [{"relaxation": r} for r in (1.0, 1.5, 1.875)]
    changes += [{"cell_px": cell} for cell in (2, 8)]
    rows = []
    for count, settings in SETTINGS.items():
        for change in changes:
            segment = edgevit_slic(replace(settings, **change))
            name = ", ".join(f"{key} {value}" for key, value in change.items()) or "as chosen"
            mean = mean_score(score(segment(s.picture), s.truth) for s in samples)
            rows.append({"k": count, "method": name, **vars(mean)})
    return rows


def draw(samples: list[Sample], folder: Path) -> list[Path]:
    """Side by side, edgevit left and scikit-image right, one file a picture and K."""
    from edgevit.images.drawn.drawing import draw_superpixels

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for sample in samples:
        for count in (16, 49):
            ours = edgevit_slic(SETTINGS[count])(sample.picture)
            _, theirs = with_at_least(skimage_slic, sample.picture, count, COMPACTNESS[0])
            enlarged = cv2.resize(sample.picture, (672, 672), interpolation=cv2.INTER_CUBIC)
            large = np.asarray(enlarged, np.uint8)
            cell = SETTINGS[count].cell_px  # drawn from the map of cells, whose lines are smooth
            pair = [draw_superpixels(large, labels) for labels in (ours[::cell, ::cell], theirs)]
            file = folder / f"{sample.name}_k{count}.png"
            image_io.write(file, np.hstack(pair))
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
