"""The tensors of a model: what they are called, their dtypes and shapes."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.zoo import tasks

IMAGE_INPUT = "image"
LOGITS = tasks.LOGITS
SUMMARY = "summary"
SUPERPIXEL_MAP = "superpixels"
ASSIGNMENT = "assignment"  # which superpixels every cell belongs to; inside a model


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

    def matches(self, other: TensorSpec) -> bool:
        """Whether both say the same; what a dynamic dimension is called does not matter."""
        return (self.name, self.dtype, len(self.shape)) == (
            other.name,
            other.dtype,
            len(other.shape),
        ) and all(
            mine == its or (isinstance(mine, str) and isinstance(its, str))
            for mine, its in zip(self.shape, other.shape, strict=True)
        )

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape can be fed."""
        return len(shape) == len(self.shape) and all(
            isinstance(want, str) or want == got
            for want, got in zip(self.shape, shape, strict=True)
        )
