"""How a kernel goes over a map, and which products of rows are such convolutions."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit_export.native.draft.tensors import Result, View, evenly_spaced, strides_of

_LARGEST_KERNEL = 64  # a side


@dataclass(frozen=True)
class Map:
    """(height, width) of all that has both."""

    source: tuple[int, int]
    result: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)

    @property
    def places(self) -> int:
        return self.source[0] * self.source[1]

    @property
    def places_of_result(self) -> int:
        return self.result[0] * self.result[1]

    @property
    def is_by_place(self) -> bool:
        """Whether every place of the result comes of the same place of the source."""
        return self == Map(self.source, self.source)


def map_of_rows(view: View) -> Map | None:
    """The map whose windows the rows of a matrix are, each once; None if they are no windows.

    What merges squares of tokens into one is written as a product of such rows.
    """
    result, matrix = view.tensor, view.places
    if not isinstance(result, Result) or matrix[0, 0] != 0:
        return None
    channels, stretch, across = (
        result.columns,
        evenly_spaced(matrix[0]),
        evenly_spaced(matrix[:, 0]),
    )
    if stretch == matrix.shape[1] or matrix[0, 1] != 1 or matrix.shape[1] % stretch:
        return None
    pitch = int(matrix[0, stretch])
    if pitch % channels or stretch % channels or len(matrix) % across or across < 2:
        return None
    width, kernel = pitch // channels, (matrix.shape[1] // stretch, stretch // channels)
    over = Map((result.rows // width, width), (len(matrix) // across, across), kernel, kernel)
    found = strides_of(matrix.reshape(*over.result, kernel[0], stretch))
    steps = (kernel[0] * pitch, stretch, pitch, 1)
    is_regular = found is not None and all(
        step in (None, wanted) for step, wanted in zip(found[1], steps, strict=True)
    )
    is_whole = matrix.size == result.size == over.places * channels
    fits = max(kernel) <= _LARGEST_KERNEL
    return over if is_regular and is_whole and fits else None
