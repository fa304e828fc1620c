"""What a picture's first bytes say: its format, size and orientation, before it is decoded.

The decoders believe what a file claims and take memory for it. Here only the structure is read, in
plain Python, every length is checked against the bytes that are there, and nothing is allocated.
"""

from __future__ import annotations

from edgevit.images.picture_formats.header import HEAD_BYTES, format_of, read_header
from edgevit.images.picture_formats.structure import Header, HeaderError, without

__all__ = ["HEAD_BYTES", "Header", "HeaderError", "format_of", "read_header", "without"]
