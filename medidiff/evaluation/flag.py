"""Flag: one thing that a reader of no-reference measures should look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Flag:
    """One thing to look at.

    Attributes:
        slice: index of the slice from 0; None for the whole series.
        kind: ``"structure"``, ``"edges"``, ``"removed"``, ``"drift"``, ``"noise"``, ``"uncertainty"`` or
            ``"unchanged"``.
        text: the reason, for people.
        value: the figure that gave rise to it.
        limit: the figure it was held against.
    """

    slice: int | None
    kind: str
    text: str
    value: float
    limit: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
