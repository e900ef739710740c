"""Study: figures and pictures of one series, ready for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medidiff.report.pictures import Images


@dataclass(frozen=True, eq=False)
class Study:
    """What a report holds of one series, beside its place in the account.

    Attributes:
        content: goes into its part of report.json.
        images: go beside it.
        notes: what the user should know about the report.
    """

    content: dict[str, Any]
    images: Images
    notes: tuple[str, ...] = ()
