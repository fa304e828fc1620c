"""A teacher's feature maps as a guide: at every place a student sees what the teacher sees there.

Ten thousand images are few for attention to find out that neighbours matter; a convolutional
teacher that saw a million knows. Source: "Locality Guidance for Improving Vision Transformers on
Tiny Datasets", ECCV 2022, arXiv 2207.10026; the cosine of standardised features is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate

from edgevit.common.errors import InputError
from edgevit.training.recipe import Recipe
from edgevit.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from edgevit.training.teacher import Teacher


class Guidance(nn.Module):
    """One linear map of each of the student's feature maps, trained with it and then thrown away.

    Args:
        student, teacher: channels of every feature map, by name; the same names.
    """

    def __init__(self, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        super().__init__()
        self.guesses = nn.ModuleDict(
            {name: nn.Conv2d(student[name], channels, 1) for name, channels in teacher.items()}
        )
        self.standards = nn.ModuleDict(
            {name: nn.BatchNorm2d(channels, affine=False) for name, channels in teacher.items()}
        )

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the feature maps that are compared."""
        return tuple(self.guesses)

    def forward(self, steps: Mapping[str, Tensor], maps: Mapping[str, Tensor]) -> Tensor:
        """How far the student is from the teacher: 0 to 2 for every map, added up. Scalar float32.

        Args:
            steps: the student's maps among them, [B, D, H, W].
            maps: the teacher's, [B, C, H', W'], of any size; they are averaged to the student's.
        """
        distances = []
        for name, taught in maps.items():
            guess = self.guesses[name](steps[name]).float()
            wanted = interpolate(taught, guess.shape[-2:], mode="area")
            likeness = cosine_similarity(guess, self.standards[name](wanted), dim=1)
            distances.append(1 - likeness.mean())
        return torch.stack(distances).sum()


def guidance_of(spec: ModelSpec, teacher: Teacher | None, recipe: Recipe) -> Guidance | None:
    """By the maps that student and teacher both give; None if the recipe has none.

    Raises:
        InputError: there is no teacher, or they share no map.
    """
    if recipe.guidance == 0:
        return None
    if teacher is None:
        raise InputError("Guidance is by a teacher's feature maps: name one (--teacher).")
    return guidance_by_maps(spec, teacher.maps)


def guidance_by_maps(spec: ModelSpec, taught: Mapping[str, int]) -> Guidance:
    """By those of a teacher's maps that the student has too; ``taught`` are their channels.

    Raises:
        InputError: they share no map.
    """
    own = spec.feature_maps
    shared = {name: channels for name, channels in taught.items() if name in own}
    if not shared:
        raise InputError(
            f"Guidance compares feature maps: {spec.name} gives {', '.join(own) or 'none'}, the "
            f"teacher {', '.join(taught) or 'none'}. Train a LaViT or a plain ViT with "
            "--teacher efficientnet_lite0, or leave out --feature-distillation."
        )
    return Guidance(own, shared)
