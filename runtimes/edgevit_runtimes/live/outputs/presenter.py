"""Pictures drawn and handed on in a thread of their own, so that answers do not wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from edgevit.common.errors import EdgevitError
from edgevit.images.image_io import Image
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.annotator import Annotator
from edgevit_runtimes.live.slot import Slot

_LOOK_UP_S = 0.5


class PictureOutput(Protocol):
    """Takes annotated pictures: a recorder, a window."""

    def open(self) -> None:
        """Called once, in the thread that will show."""
        ...

    def show(self, observation: Observation, picture: Image) -> None:
        """picture: uint8 RGB, annotated.

        Raises:
            EdgevitError: it cannot go on; the others do.
        """
        ...

    def close(self) -> None: ...


class Presenter:
    """A context manager; leaving it finishes what was handed over.

    Args:
        every_one: wait for the drawing of each observation, instead of replacing what was not drawn
            yet by what is newer.
        failed: is told why an output cannot go on; from the thread.
    """

    def __init__(
        self,
        annotator: Annotator,
        outputs: Sequence[PictureOutput],
        every_one: bool,
        failed: Callable[[EdgevitError], None],
    ) -> None:
        self._annotator, self._outputs, self._failed = annotator, list(outputs), failed
        self._slot: Slot[Observation] = Slot(replaces=not every_one)
        self._thread = threading.Thread(target=self._run, name="drawing")
        self._error: BaseException | None = None

    @property
    def passed_over(self) -> int:
        """Observations that were not drawn because a newer one came."""
        return self._slot.replaced

    def present(self, observation: Observation) -> None:
        self._slot.put(observation)

    def __enter__(self) -> Presenter:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._slot.close()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._each(lambda output: output.open())
            while not self._slot.finished:
                observation = self._slot.take(_LOOK_UP_S)
                if observation is not None:
                    self._present(observation)
        except BaseException as error:  # raised again where the presenter is left
            self._error = error
            self._slot.close()
        finally:
            self._each(lambda output: output.close())

    def _present(self, observation: Observation) -> None:
        picture = self._annotator.draw(observation)
        self._each(lambda output: output.show(observation, picture))

    def _each(self, act: Callable[[PictureOutput], None]) -> None:
        for output in tuple(self._outputs):
            try:
                act(output)
            except EdgevitError as error:
                self._outputs.remove(output)
                self._failed(error)
