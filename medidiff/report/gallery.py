"""Gallery: what failed or was refused, and flagged slices that are not among the chosen ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medidiff.report.panels import aspect, panels, squares
from medidiff.report.pictures import Images

WIDTH = 192
MOST = 24


def gallery(report: Mapping[str, Any], images: Images, only: int | None = None) -> dict[str, Any]:
    """Troubles in words, and small pictures of flagged slices.

    Args:
        report: content of report.json.
        images: what lies beside it.
        only: this series alone, counted from 1.
    """
    numbered = [(k, s) for k, s in enumerate(report["series"], start=1) if only in (None, k)]
    troubles = [s for _, s in numbered if s["status"] in ("failed", "refused", "cancelled")]
    pictures = []
    for k, series in numbered:
        texts: dict[int, list[str]] = {}
        for flag in series.get("flags", ()):
            texts.setdefault(flag["slice"], []).append(flag["text"])
        for one in series.get("pictures", {}).get("slices", ()):
            n = one["number"]
            if n in texts and any(key.startswith(f"{k}/{n}/") for key in images):
                pictures.append(
                    {
                        "title": f"{series['label']}, slice {n}:",
                        "text": "; ".join(texts[n]),
                        "panels": panels(k, series, images, n, WIDTH),
                        "marks": squares(series["pictures"], one["marks"]),
                        "aspect": aspect(series["pictures"]),
                    }
                )
    return {"troubles": troubles, "pictures": pictures[:MOST]}
