"""Models that answer about places in a picture: a backbone of the zoo, and a head on its maps."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar, cast

from edgevit.common.errors import InputError
from edgevit.zoo.interface.preprocess import ResizeMode
from edgevit.zoo.spec import LavitSpec, LlaSpec, ModelSpec
from edgevit.zoo.tasks import MOST_MASK_CLASSES, Task


@dataclass(frozen=True)
class LavitDenseSpec(ModelSpec):
    """What dense models on the stage maps of a LaViT share.

    backbone: of the same picture size; its own head is left out.
    width: channels of the pyramid and of the head.
    resize: how a picture becomes the model's input.
    """

    backbone: LavitSpec
    _: KW_ONLY
    width: int = 96
    resize: ResizeMode = "letterbox"

    def __post_init__(self) -> None:
        if self.backbone.image_px != self.image_px:
            raise InputError(
                f"model {self.name}: its pictures have {self.image_px} pixels a side, those of its "
                f"backbone {self.backbone.image_px}. They must be the same."
            )

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the input a side for one place of every stage map."""
        return tuple(self.image_px // side for side in self.backbone.sides)

    def at_size(self, image_px: int) -> LavitDenseSpec:
        name, backbone = f"{self.name}@{image_px}", cast(LavitSpec, self.backbone.at_size(image_px))
        return replace(self, name=name, image_px=image_px, backbone=backbone)


@dataclass(frozen=True)
class LavitSegmenterSpec(LavitDenseSpec):
    """A semantic FPN (arXiv 1901.02446) on the four stage maps: a class for every pixel."""

    family: ClassVar[str] = "lavit_segmenter"
    task: ClassVar[Task] = "segmentation"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_many_classes(self)


@dataclass(frozen=True)
class LlaSegmenterSpec(LlaSpec):
    """A class for every superpixel, whose outline is the answer's outline.

    The tokens travel through ``depth`` layers of LLA ``writeback``. With ``pooling="squares"`` the
    blocks of the seed grid are answered instead, for comparison.
    """

    _: KW_ONLY
    resize: ResizeMode = "letterbox"

    family: ClassVar[str] = "lla_segmenter"
    task: ClassVar[Task] = "segmentation"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_many_classes(self)


def refuse_many_classes(spec: ModelSpec) -> None:
    """A mask holds a class in a byte.

    Raises:
        InputError: there are more.
    """
    if spec.task == "segmentation" and not 1 < spec.classes <= MOST_MASK_CLASSES:
        raise InputError(
            f"model {spec.name}: a mask holds from 2 to {MOST_MASK_CLASSES} classes; got "
            f"{spec.classes}."
        )
