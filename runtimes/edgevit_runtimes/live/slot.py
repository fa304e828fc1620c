"""Room for one thing between two threads."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one item: a new one replaces it, or waits until it was taken.

    A maker that waits for room before it makes the next item is never more than one ahead.

    Args:
        replaces: whether what nobody took is replaced, and counted in ``replaced``.
    """

    def __init__(self, replaces: bool) -> None:
        self.replaced = 0
        self._replaces = replaces
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Leaves an item; False if the slot was closed instead."""
        with self._changed:
            if self._replaces:
                self.replaced += self._item is not None and not self._closed
            else:
                self._changed.wait_for(self._has_room)
            if self._closed:
                return False
            self._item = item
            self._changed.notify_all()
            return True

    def wait_for_room(self) -> None:
        """Returns at once where items are replaced."""
        with self._changed:
            self._changed.wait_for(lambda: self._replaces or self._has_room())

    def _has_room(self) -> bool:
        return self._item is None or self._closed

    def take(self, timeout_s: float) -> T | None:
        """The item, once there is one; None when the time is up or the slot is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Nothing more comes; what is there can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Closed, and empty."""
        with self._changed:
            return self._closed and self._item is None
