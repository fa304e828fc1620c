"""Programs whose commands stand in messages, for what has to find these commands there."""

from __future__ import annotations

# A regular expression without groups; a command begins with one of them and a space.
PROGRAMS = r"(?:edgevit|uv pip|pip|git|ray|sudo|torchrun|v4l2-ctl|systemctl|journalctl|python\S*)"
