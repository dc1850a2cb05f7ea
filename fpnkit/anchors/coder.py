"""What anchor coders offer beyond other coders."""

from __future__ import annotations

from typing import Protocol

from fpnkit.codecs.coder import Coder


class AnchorCoder(Coder, Protocol):
    """A coder that is not learned; another version of its libraries may give other bytes."""

    @property
    def encoder(self) -> str:
        """Everything except quality that the bytes depend on: libraries with versions, and settings."""
        ...
