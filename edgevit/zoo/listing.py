"""The models of the zoo as a list: sizes, and whether weights are shipped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.zoo.registry import MODELS
from edgevit.zoo.sizes import size_of


@dataclass(frozen=True)
class ListedModel:
    """parameters, macs: with ``classes`` classes; multiply-accumulates of one image.

    shipped_weights: what can follow the name, as in ``MODEL:WEIGHTS``; the first is the default.
    """

    name: str
    family: str
    image_px: int
    parameters: int
    macs: int
    classes: int
    shipped_weights: tuple[str, ...]
    summary: str

    @property
    def described(self) -> str:
        weights = ", ".join(self.shipped_weights)
        return f"{self.summary}; weights: {weights}" if weights else self.summary


@dataclass(frozen=True)
class ModelList(Result):
    """The models in the order of the registry."""

    models: tuple[ListedModel, ...]

    def to_dict(self) -> Any:
        return [
            {**asdict(model), "shipped_weights": list(model.shipped_weights)}
            for model in self.models
        ]

    def sections(self) -> list[Section]:
        rows = [
            (
                model.name,
                f"{model.image_px}",
                f"{model.parameters / 1e6:.2f} M",
                f"{model.macs / 1e9:.3f} G",
                model.described,
            )
            for model in self.models
        ]
        columns = ("model", "pixels", "params", "MACs", "what")
        title = "Models (parameters and multiply-accumulates with 1000 classes)"
        return [Table(title, columns, rows, numeric=columns[1:4])]


def list_models() -> ModelList:
    """Every model of the registry."""
    return ModelList(
        tuple(
            ListedModel(
                name=name,
                family=entry.spec.family,
                image_px=entry.spec.image_px,
                parameters=size_of(name).parameters,
                macs=size_of(name).macs,
                classes=entry.spec.classes,
                shipped_weights=entry.weight_sets,
                summary=entry.summary,
            )
            for name, entry in MODELS.items()
        )
    )
