"""A source with all that is asked of it, still to be opened."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation
from edgevit_runtimes.sources.frame import Source
from edgevit_runtimes.sources.open_source import open_source, refuse_unused
from edgevit_runtimes.sources.source_address import Address, parse


class FeedSource(Struct, frozen=True):
    """A source, what is asked of it, and how its frames are turned."""

    address: Address
    request: CaptureRequest
    orientation: Orientation

    @classmethod
    def of(
        cls, texts: Sequence[str], request: CaptureRequest, orientation: Orientation
    ) -> FeedSource:
        """By its name, or the names of pictures.

        Raises:
            InputError: there is nothing of that name, or it cannot be asked for that.
        """
        address = parse(list(texts))
        refuse_unused(address, request)
        return cls(address, request, orientation)

    @property
    def paced(self) -> bool:
        """Whether frames come at a rate of their own, so that threads wait between them."""
        return self.address.is_live or self.request.fps is not None

    def open(self) -> Source:
        return open_source(self.address, self.request)
