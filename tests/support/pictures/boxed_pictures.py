"""Pictures of coloured rectangles on grey, labelled with boxes, as VOC or COCO folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgevit.images import image_io

SHAPES = {"blue": (40, 70, 210), "red": (210, 50, 40)}
Objects = list[tuple[str, tuple[int, int, int, int]]]


def picture_of(objects: Objects, size: tuple[int, int], seed: int = 0) -> image_io.Image:
    """uint8 RGB [H, W, 3] of (width, height), with a little noise."""
    width, height = size
    noise = np.random.default_rng(seed).integers(110, 140, (height, width, 3))
    picture = noise.astype(np.uint8)
    for name, (left, top, right, bottom) in objects:
        picture[top:bottom, left:right] = SHAPES[name]
    return picture


def drawn_objects(rng: np.random.Generator, size: tuple[int, int], count: int) -> Objects:
    """Rectangles side by side, each in a column of its own."""
    width, height = size
    column, names, objects = width // count, sorted(SHAPES), []
    for place in range(count):
        wide, high = (
            int(rng.integers(column // 3, column - 2)),
            int(rng.integers(height // 4, height // 2)),
        )
        left = place * column + int(rng.integers(0, column - wide))
        top = int(rng.integers(0, height - high))
        objects.append((names[int(rng.integers(len(names)))], (left, top, left + wide, top + high)))
    return objects


def voc_xml(objects: list[tuple[str, tuple[float, ...]]], size: tuple[int, int] | None) -> str:
    """One annotation; without a size where None."""
    told = (
        "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    )
    sides = ("xmin", "ymin", "xmax", "ymax")
    rows = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, box, strict=True))
        + "</bndbox></object>"
        for name, box in objects
    )
    return f"<annotation>{told}{rows}</annotation>"


def write_voc(root: Path, pictures: list[Objects], size: tuple[int, int] = (96, 64)) -> Path:
    """``images/N.png`` and ``annotations/N.xml``."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, objects in enumerate(pictures):
        image_io.write(root / f"images/{number}.png", picture_of(objects, size, number))
        (root / f"annotations/{number}.xml").write_text(voc_xml(list(objects), size))
    return root


def write_coco(root: Path, pictures: list[Objects], size: tuple[int, int] = (96, 64)) -> Path:
    """``images/N.png`` and ``annotations.json``."""
    (root / "images").mkdir(parents=True)
    names = sorted(SHAPES)
    images, annotations = [], []
    for number, objects in enumerate(pictures):
        image_io.write(root / f"images/{number}.png", picture_of(objects, size, number))
        images.append(
            {"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]}
        )
        for name, (left, top, right, bottom) in objects:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": names.index(name) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))
    return root
