"""The part of ``timm.data`` that says how pictures are prepared and what classes are called."""

from typing import Any

from torch import nn

from timm import CONFIG

SUBSETS = {1000: "imagenet-1k"}


def resolve_model_data_config(model: nn.Module) -> dict[str, Any]:
    usual = {
        "input_size": (3, 32, 32),
        "interpolation": "bicubic",
        "mean": (0.5, 0.25, 0.125),
        "std": (0.5, 0.25, 0.5),
        "crop_pct": 0.9,
        "crop_mode": "center",
    }
    return {**usual, **CONFIG.get("data", {})}


def infer_imagenet_subset(model: Any) -> str | None:
    return SUBSETS.get(model.num_classes)


class ImageNetInfo:
    def __init__(self, subset: str = "imagenet-1k") -> None:
        assert subset in SUBSETS.values()

    def label_names(self) -> list[str]:
        return [f"n{number:08}" for number in range(1000)]

    def label_descriptions(self, detailed: bool = False, as_dict: bool = False) -> list[str]:
        return [f"thing {min(number, 998)}" for number in range(1000)]
