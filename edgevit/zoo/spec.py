"""What a model is: frozen facts with units in their names, from which its module is built."""

from __future__ import annotations

import math
import operator
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import accumulate
from typing import ClassVar, Literal

from edgevit.common.errors import InputError
from edgevit.zoo.interface.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess, ResizeMode
from edgevit.zoo.slic import SlicGeometry
from edgevit.zoo.tasks import Task
from edgevit.zoo.trunk_spec import TrunkSpec

Layout = Literal["nchw", "nhwc"]  # where a model has its channels
_STAGE_MAP = "stage_"


def stage_map(stage: int) -> str:
    """The name of a backbone's feature map, stages counted from 1."""
    return f"{_STAGE_MAP}{stage}"


def is_stage_map(name: str) -> bool:
    return name.startswith(_STAGE_MAP)


@dataclass(frozen=True)
class SuperpixelSpec:
    """In-graph SLIC: a grid of seeds, square cells, and how often cells are reassigned.

    The first ``coarse_iterations`` of the ``iterations`` assign blocks of 2x2 cells, the others
    cells. ``relaxation`` is how far a centre moves for each step towards the mean of its cells;
    above 1 it overshoots, as in successive over-relaxation, and three rounds do the work of five.
    A multiple of 1/8 keeps the arithmetic exact.
    ``benchmarks/superpixels.py --sweep`` shows what each setting buys.
    """

    grid: tuple[int, int]
    cell_px: int = 4
    iterations: int = 3
    coarse_iterations: int = 2
    compactness: float = 15.0
    relaxation: float = 1.75

    @property
    def count(self) -> int:
        """K."""
        return self.grid[0] * self.grid[1]

    def check(self, where: str, patches: int, patch_px: int) -> None:
        """Refuses what cannot be computed on that many patches of that size.

        Raises:
            InputError: says where, and what does not fit.
        """
        if patch_px % self.cell_px:
            raise InputError(
                f"{where}: a patch of {patch_px} pixels is not a whole number of cells of "
                f"{self.cell_px}. Choose a divisor of the patch."
            )
        if self.count > patches:
            raise InputError(
                f"{where}: {self.count} superpixels were asked for, but the image has only "
                f"{patches} patches. Choose at most one superpixel a patch."
            )
        if not 0 <= self.coarse_iterations < self.iterations:
            raise InputError(
                f"{where}: SLIC got {self.iterations} iterations, {self.coarse_iterations} of them "
                "coarse; at least one must be fine."
            )
        if self.coarse_iterations and (patch_px // self.cell_px) % 2:
            raise InputError(
                f"{where}: coarse iterations need an even number of cells across a patch; got "
                f"{patch_px // self.cell_px}."
            )
        if not 1 <= self.relaxation < 2:
            raise InputError(
                f"{where}: SLIC got relaxation {self.relaxation}; it converges from 1 to below 2."
            )


@dataclass(frozen=True)
class ModelSpec:
    """What every family shares. A spec is complete: the module is built from it alone.

    mean, std, resize, crop_pct: how its pictures are prepared; see :class:`Preprocess`.
    """

    name: str
    _: KW_ONLY
    image_px: int = 224
    mlp_ratio: int = 4
    classes: int = 1000
    # Not in the repr, by which a training run that is resumed knows its model.
    mean: tuple[float, float, float] = field(default=IMAGENET_MEAN, repr=False)
    std: tuple[float, float, float] = field(default=IMAGENET_STD, repr=False)
    resize: ResizeMode = field(default="squash", repr=False)
    crop_pct: float = field(default=1.0, repr=False)

    family: ClassVar[str]
    task: ClassVar[Task] = "classification"

    @property
    def preprocess(self) -> Preprocess:
        """How a picture becomes the model's input."""
        return Preprocess(
            self.image_px,
            self.resize,
            mean=self.mean,
            std=self.std,
            crop_pct=self.crop_pct,
        )

    @property
    def feature_maps(self) -> dict[str, int]:
        """Channels of every feature map that the model gives, by name; by default none."""
        return {}

    @property
    def has_superpixels(self) -> bool:
        """Whether the model computes superpixels of the picture."""
        return False

    def with_classes(self, classes: int) -> ModelSpec:
        return replace(self, classes=classes)

    def at_size(self, image_px: int) -> ModelSpec:
        """The same layers for other pictures: another model, NAME@SIZE.

        Raises:
            InputError: the layers cannot be built for that size.
        """
        return replace(self, name=f"{self.name}@{image_px}", image_px=image_px)


@dataclass(frozen=True)
class IsotropicSpec(ModelSpec):
    """One width from the patches to the head: ``depth`` layers of ``heads`` heads."""

    width: int
    heads: int
    depth: int
    _: KW_ONLY
    patch_px: int = 16

    def __post_init__(self) -> None:
        if self.image_px % self.patch_px:
            raise InputError(
                f"model {self.name}: an image of {self.image_px} pixels is not a whole number of "
                f"patches of {self.patch_px}. Choose a multiple of the patch."
            )
        if self.width % self.heads:
            raise InputError(
                f"model {self.name}: width {self.width} is not divisible by {self.heads} heads."
            )

    @property
    def side(self) -> int:
        """Patches a side."""
        return self.image_px // self.patch_px

    @property
    def patches(self) -> int:
        """N."""
        return self.side**2

    @property
    def patch_values(self) -> int:
        """Numbers in one RGB patch."""
        return self.patch_px**2 * 3


@dataclass(frozen=True)
class VitSpec(IsotropicSpec):
    """A plain vision transformer (DeiT shape): the baseline of every claim.

    distilled: a second learned token stands behind the class token, and the head reads both, as in
        DeiT's distillation (arXiv 2012.12877).
    """

    _: KW_ONLY
    distilled: bool = field(default=False, repr=False)

    family: ClassVar[str] = "vit"

    @property
    def leading_tokens(self) -> int:
        """Tokens before those of the patches, which the head reads."""
        return 2 if self.distilled else 1

    @property
    def feature_maps(self) -> dict[str, int]:
        """Two, named as the stages whose places are as large: one of a patch, one of four.

        Patches of 16 pixels give ``stage_3`` and ``stage_4``. None where a patch is no power of two
        from 4 pixels up, or the patches a side are odd.
        """
        halvings = self.patch_px.bit_length() - 1
        if self.patch_px != 1 << halvings or halvings < 2 or self.side % 2:
            return {}
        return {stage_map(halvings - 1): self.width, stage_map(halvings): self.width}


# Of the ``strips`` stem: strips a patch, and features of a strip and of a patch.
STRIPS = 4
STRIP_WIDTHS = (64, 128)


@dataclass(frozen=True)
class LlaSpec(IsotropicSpec):
    """Superpixel patch pooling (SPPP) and light latent attention (LLA).

    pooling: a patch belongs to one superpixel (``hard``), or to each by its share (``soft``); or
        the blocks of the seed grid are pooled, whatever the picture shows (``squares``).
    stem: what of a patch is pooled; see :mod:`edgevit.models.superpixel.stem`.
    trunk: of the ``convolution`` stem; its stride is the patch.
    picture_latents: the latents start from the mean of all that is pooled, too.
    layers_per_reading: of ``carry``, how many layers in a row share the tokens' keys and values.
    wiring: see :mod:`edgevit.models.superpixel.lla`. With ``self`` there are no latents.
    """

    _: KW_ONLY
    superpixels: SuperpixelSpec = SuperpixelSpec(grid=(4, 4))
    latents: int = 8
    pooling: Literal["hard", "soft", "squares"] = "hard"
    stem: Literal["linear", "moments", "strips", "convolution"] = "linear"
    trunk: TrunkSpec | None = None
    picture_latents: bool = False
    layers_per_reading: int = 1
    wiring: Literal["carry", "joint", "writeback", "self"] = "carry"

    family: ClassVar[str] = "lla"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_px % STRIPS and self.stem == "strips":
            raise InputError(
                f"model {self.name}: a patch of {self.patch_px} rows cannot be cut into {STRIPS} "
                "strips. Choose another stem."
            )
        self._check_trunk()
        if self.layers_per_reading < 1 or self.depth % self.layers_per_reading:
            raise InputError(
                f"model {self.name}: {self.depth} layers cannot share keys and values by "
                f"{self.layers_per_reading}. Choose a divisor."
            )
        if self.latents < 1:
            raise InputError(f"model {self.name}: got {self.latents} latents; at least 1.")
        self.superpixels.check(f"model {self.name}", self.patches, self.patch_px)

    def _check_trunk(self) -> None:
        if (self.trunk is None) == (self.stem == "convolution"):
            raise InputError(
                f"model {self.name}: the stem 'convolution' needs a trunk, and no other stem has "
                f"one; got the stem '{self.stem}' {'without' if self.trunk is None else 'with'} it."
            )
        if self.trunk is not None:
            self.trunk.check(f"model {self.name}")
            if self.trunk.stride != self.patch_px:
                raise InputError(
                    f"model {self.name}: the trunk gives a place for {self.trunk.stride} pixels a "
                    f"side, but a patch has {self.patch_px}. They must be the same."
                )
        if self.picture_latents and self.wiring != "carry":
            raise InputError(
                f"model {self.name}: only the wiring 'carry' has latents that start from the "
                f"picture; got '{self.wiring}'."
            )

    @property
    def pooled_width(self) -> int:
        """How many numbers of a patch are pooled."""
        if self.trunk is not None:
            return self.trunk.width
        widths = {"linear": self.patch_values, "moments": 2 * self.patch_values}
        return widths.get(self.stem, STRIP_WIDTHS[-1])

    @property
    def has_superpixels(self) -> bool:
        return self.pooling != "squares"

    def at_size(self, image_px: int) -> LlaSpec:
        """As for every model; where there are fewer patches than superpixels, each is one."""
        side = image_px // self.patch_px
        rows, columns = self.superpixels.grid
        grid = (
            (rows, columns) if rows * columns <= side**2 else (min(rows, side), min(columns, side))
        )
        name = f"{self.name}@{image_px}"
        superpixels = replace(self.superpixels, grid=grid)
        return replace(self, name=name, image_px=image_px, superpixels=superpixels)

    @property
    def geometry(self) -> SlicGeometry:
        return SlicGeometry(
            image_px=self.image_px,
            patch_px=self.patch_px,
            cell_px=self.superpixels.cell_px,
            grid=self.superpixels.grid,
            compactness=self.superpixels.compactness,
        )


@dataclass(frozen=True)
class StageSpec:
    """One stage of a LaViT.

    patch: how many pixels (of the picture, or of the map before) a side become one token.
    layers, less: how many layers, the last ``less`` of them less-attention (LA) layers.
    reduction: vanilla attention reads keys and values of so many tokens a side merged into one.
    """

    width: int
    heads: int
    layers: int
    less: int = 0
    patch: int = 2
    reduction: int = 1

    @property
    def vanilla(self) -> int:
        """How many layers compute their own attention scores."""
        return self.layers - self.less

    def check(self, where: str, side: int) -> None:
        """Refuses what cannot be built on ``side`` x ``side`` tokens.

        Raises:
            InputError: says where, and what does not fit.
        """
        if side % self.reduction:
            raise InputError(f"{where}: {side} tokens a side cannot be merged by {self.reduction}.")
        if self.width % self.heads:
            raise InputError(f"{where}: width {self.width} is not divisible by {self.heads} heads.")
        if not 0 <= self.less < self.layers:
            raise InputError(
                f"{where}: got {self.layers} layers, {self.less} of them less-attention; the first "
                "computes the scores that those transform, so it must be vanilla."
            )
        if self.less and self.reduction > 1:
            raise InputError(
                f"{where}: less-attention layers need square scores, but keys are merged by "
                f"{self.reduction}. Use reduction 1, or no less-attention layers."
            )


def convolution_widths(stage: StageSpec) -> tuple[int, ...]:
    """Channels after each halving of a ``convolution`` stem; they double up to the stage's."""
    halvings = stage.patch.bit_length() - 1
    return tuple(stage.width >> place for place in reversed(range(halvings)))


@dataclass(frozen=True)
class LavitSpec(ModelSpec):
    """A less-attention vision transformer (LaViT, arXiv 2406.00427).

    residual: how a stage's last attention scores reach the next stage: over the ``plane`` of the
        picture, over the ``raster`` order of the tokens, or not (``none``).
    transform_rank: None for the full N x N maps of the paper in LA layers; r for a map of rank r
        beside the identity, which costs less where N is large.
    local_perception: every layer first adds to each token a 3x3 depthwise convolution of its
        neighbours (ours, after CMT, arXiv 2107.06263): little work, and far fewer images suffice.
    stem: how the picture becomes the first tokens: by ``patch`` as in the paper, or by overlapping
        3x3 ``convolution`` layers (ours, after arXiv 2106.14881).
    """

    stages: tuple[StageSpec, ...]
    _: KW_ONLY
    residual: Literal["plane", "raster", "none"] = "plane"
    transform_rank: int | None = None
    local_perception: bool = False
    stem: Literal["patch", "convolution"] = "patch"

    family: ClassVar[str] = "lavit"

    def __post_init__(self) -> None:
        if not self.stages:
            raise InputError(f"model {self.name}: got no stages; at least one.")
        if self.image_px % self._total_stride:
            raise InputError(
                f"model {self.name}: a side of {self.image_px} pixels is not a whole number of "
                f"patches in every stage. Choose a multiple of {self._total_stride}."
            )
        for number, (stage, side) in enumerate(zip(self.stages, self.sides, strict=True), 1):
            stage.check(f"model {self.name}, stage {number}", side)
        if self.transform_rank is not None and self.transform_rank < 1:
            raise InputError(f"model {self.name}: got rank {self.transform_rank}; at least 1.")
        patch = self.stages[0].patch
        if self.stem == "convolution" and (patch < 2 or patch & (patch - 1)):
            raise InputError(
                f"model {self.name}: convolutions of stride 2 cannot make tokens of {patch} "
                "pixels. Choose a power of two, or the stem that cuts patches."
            )

    @property
    def _total_stride(self) -> int:
        return math.prod(stage.patch for stage in self.stages)

    @property
    def sides(self) -> tuple[int, ...]:
        """Tokens a side in every stage."""
        strides = accumulate((stage.patch for stage in self.stages), operator.mul)
        return tuple(self.image_px // stride for stride in strides)

    @property
    def feature_maps(self) -> dict[str, int]:
        """Channels of every stage's map, by name."""
        return {stage_map(number): stage.width for number, stage in enumerate(self.stages, 1)}

    def carries_attention_into(self, stage: int) -> bool:
        """Whether the scores of the stage before are added to this one's (stages from 0).

        Both must be square: one score for every pair of tokens.
        """
        if self.residual == "none" or stage == 0:
            return False
        return self.stages[stage - 1].reduction == 1 == self.stages[stage].reduction


@dataclass(frozen=True)
class ConvolutionalSpec(ModelSpec):
    """A convolutional network: a trunk, the mean of its map, and a linear head.

    hidden: features of one layer between mean and head, with the activation of the trunk's last
        block; 0: none.
    """

    trunk: TrunkSpec
    _: KW_ONLY
    hidden: int = 0

    family: ClassVar[str] = "convolutional"

    def __post_init__(self) -> None:
        self.trunk.check(f"model {self.name}")

    @property
    def summary_width(self) -> int:
        """Numbers that the head reads."""
        return self.hidden or self.trunk.width
