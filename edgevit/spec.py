"""What a tensor, a picture and a model are: frozen facts with units in their names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from edgevit.errors import InputError
from edgevit.slic import SlicGeometry

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IMAGE_INPUT = "image"
LOGITS = "logits"
SUPERPIXEL_MAP = "superpixels"


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype (numpy's name) and shape of a model input or output.

    A dimension is an int, or a string that names a dynamic one (``"batch"``).
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}[{', '.join(map(str, self.shape))}]"

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape can be fed."""
        return len(shape) == len(self.shape) and all(
            isinstance(want, str) or want == got
            for want, got in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class Preprocess:
    """How a decoded picture becomes the model's input.

    ``resize`` is ``"squash"``: both sides become ``size_px``, whatever the aspect ratio, which is
    how the shipped weights saw their training images. ``mean`` and ``std`` (RGB, of pixels scaled
    to 0..1) are applied *inside* the graph; they are listed so that a person can check them.
    """

    size_px: int
    resize: Literal["squash"] = "squash"
    colour: Literal["RGB"] = "RGB"
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["uint8"] = "uint8"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    normalised_in_graph: Literal[True] = True


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


@dataclass(frozen=True)
class ModelSpec:
    """What every family shares. A spec is complete: the module is built from it alone."""

    name: str
    width: int
    heads: int
    depth: int
    image_px: int = 224
    patch_px: int = 16
    mlp_ratio: int = 4
    classes: int = 1000

    family: ClassVar[str]

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
    def patches(self) -> int:
        """N."""
        return (self.image_px // self.patch_px) ** 2

    @property
    def patch_values(self) -> int:
        """Numbers in one RGB patch."""
        return self.patch_px**2 * 3

    def with_classes(self, classes: int) -> ModelSpec:
        return replace(self, classes=classes)


@dataclass(frozen=True)
class VitSpec(ModelSpec):
    """A plain vision transformer (DeiT shape): the ruler for every claim."""

    family: ClassVar[str] = "vit"


@dataclass(frozen=True)
class LlaSpec(ModelSpec):
    """Superpixel patch pooling (SPPP) and light latent attention (LLA).

    pooling: a patch belongs to one superpixel (``hard``), or to each by its share (``soft``).
    moments: 1 pools the patches; 2 pools their squares beside them.
    wiring: see :mod:`edgevit.models.lla`.
    """

    superpixels: SuperpixelSpec = SuperpixelSpec(grid=(4, 4))
    latents: int = 8
    pooling: Literal["hard", "soft"] = "hard"
    moments: Literal[1, 2] = 1
    wiring: Literal["carry", "joint", "writeback"] = "carry"

    family: ClassVar[str] = "lla"

    def __post_init__(self) -> None:
        super().__post_init__()
        superpixels = self.superpixels
        if self.latents < 1:
            raise InputError(f"model {self.name}: got {self.latents} latents; at least 1.")
        if self.patch_px % superpixels.cell_px:
            raise InputError(
                f"model {self.name}: a patch of {self.patch_px} pixels is not a whole number of "
                f"cells of {superpixels.cell_px}. Choose a divisor of the patch."
            )
        if superpixels.count > self.patches:
            raise InputError(
                f"model {self.name}: {superpixels.count} superpixels were asked for, but the image "
                f"has only {self.patches} patches. Choose at most one superpixel a patch."
            )
        if not 0 <= superpixels.coarse_iterations < superpixels.iterations:
            raise InputError(
                f"model {self.name}: SLIC got {superpixels.iterations} iterations, "
                f"{superpixels.coarse_iterations} of them coarse; at least one must be fine."
            )
        if superpixels.coarse_iterations and (self.patch_px // superpixels.cell_px) % 2:
            raise InputError(
                f"model {self.name}: coarse iterations need an even number of cells across a "
                f"patch; got {self.patch_px // superpixels.cell_px}."
            )
        if not 1 <= superpixels.relaxation < 2:
            raise InputError(
                f"model {self.name}: SLIC got relaxation {superpixels.relaxation}; it converges "
                "from 1 to below 2."
            )

    @property
    def geometry(self) -> SlicGeometry:
        return SlicGeometry(
            image_px=self.image_px,
            patch_px=self.patch_px,
            cell_px=self.superpixels.cell_px,
            grid=self.superpixels.grid,
            compactness=self.superpixels.compactness,
        )
