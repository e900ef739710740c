"""Readiness: what stands in the way of a run, and what to know before one. Standard library only."""

from __future__ import annotations

from typing import Any

BYTES_PER_VOXEL = 40
"""Peak memory of the worker for each voxel of the scan: as stored, as float32, result, residual and files."""

BASE_GB = 0.6
"""Memory of the worker itself, with the network loaded."""

PRESET_HINTS = {
    "fast": "Posterior mean: unbiased values, best for measuring; smooth to look at.",
    "balanced": "Natural texture: keeps the scan's own grain, for looking at.",
    "quality": "Mean of posterior samples, with a volume of their spread: how sure the result is. Slowest.",
}
"""What a preset gives, for people."""


def blocked(report: Any, *, model: str, modality: str, device: str) -> str:
    """Why the worker would refuse these settings.

    Args:
        report: the last `environment.Report`; None while nobody has asked, which blocks nothing.
        model: name, folder, or empty for the one of the modality.
        modality: "auto", "CT" or "MR".
        device: "auto", "cpu" or "gpu".

    Returns:
        one sentence, or two with what to do; empty if nothing is known against it.
    """
    if report is None:
        return ""
    if not report.ok:
        first = report.problems[0] if report.problems else None
        if first is None:
            return "medidiff cannot be used. Press 'Check environment' in Advanced."
        return " ".join(part for part in (first.text, first.hint) if part)
    names = [m.name for m in report.modelsFor(modality)]
    if model and not _is_folder(model) and model not in names:
        known = [m for m in report.models if m.name == model]
        if known and not known[0].usable:
            return f"The model '{model}' is damaged: {known[0].problem}"
        if known:
            return f"The model '{model}' is for {known[0].modality.upper()}. Choose another of the two."
        return f"The model '{model}' is not installed. Choose another, or put it into the models folder."
    if not model and not names:
        return f"There is no model for {modality}. Put one into the models folder, see Advanced."
    if device == "gpu" and not report.gpu:
        return "The worker has no graphics card that it can use. Choose the device auto or cpu."
    return ""


def cautions(report: Any, voxels: int) -> list[str]:
    """What does not hinder a run but should be known before it.

    Args:
        report: the last `environment.Report`, or None.
        voxels: number of voxels of the scan.
    """
    needed = BASE_GB + voxels * BYTES_PER_VOXEL / 1e9
    free = getattr(report, "memory_gb", None)
    if free is not None and needed > free:
        return [
            f"This volume may need about {needed:.1f} GB of memory, and {free:.1f} GB are free. "
            "Close other programs, or choose a region in Advanced."
        ]
    return []


def remaining(seconds: float | None) -> str:
    """Time left, for people; empty if nobody knows."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(1, round(seconds))} s left"
    if seconds < 3600:
        return f"{round(seconds / 60)} min left"
    return f"{seconds / 3600:.1f} h left"


def _is_folder(model: str) -> bool:
    return "/" in model or "\\" in model
