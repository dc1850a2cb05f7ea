"""What an anchor's coder says beyond what every coder does."""

from __future__ import annotations

from typing import Protocol

from fpnkit.codecs.coder import Coder


class AnchorCoder(Coder, Protocol):
    """A coder that is not learned: another version of its libraries gives other bytes."""

    @property
    def encoder(self) -> str:
        """Everything but the quality that the bytes depend on: libraries with their versions, settings."""
        ...
