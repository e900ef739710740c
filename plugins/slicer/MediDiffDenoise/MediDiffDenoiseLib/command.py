"""Command: the words that start the worker. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

Bounds = tuple[int, int, int, int, int, int]
"""Voxels along IJK: first and one after the last."""


@dataclass(frozen=True)
class Preset:
    """What a preset means to the worker.

    Attributes:
        mode: its ``--mode``.
        steps: network evaluations a slice (and draw).
        tier: its ``--tier``; with ``standard``, a preview of cubic MR voxels needs slices of all planes.
        uncertainty: a volume with the SD of every voxel comes with it.
    """

    mode: str
    steps: int
    tier: str = "fast"
    uncertainty: bool = False


PRESETS = {
    "fast": Preset("mean", 1),
    "balanced": Preset("natural", 2),
    "quality": Preset("sample", 8, tier="standard", uncertainty=True),
}
"""fast: the posterior mean, for measuring. balanced: keeps natural texture, for looking at. quality: the mean
of eight draws from the posterior, whose spread is the uncertainty."""

CHOICES = {"modality": ("auto", "CT", "MR"), "preset": tuple(PRESETS), "device": ("auto", "cpu", "gpu")}


@dataclass(frozen=True)
class Settings:
    """How a volume is denoised; see `logic.DenoiseLogic.process`."""

    model: str = ""
    modality: str = "auto"
    preset: str = "fast"
    steps: int | None = None
    strength: float = 1.0
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}. Received: {getattr(self, name)!r}"
                )
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie between 0 and 1. Received: {self.strength}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1. Received: {self.steps}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more. Received: {self.seed}")

    @property
    def evaluations(self) -> int:
        """Network evaluations a slice and draw; the preset fast takes one whatever `steps` says."""
        preset = PRESETS[self.preset]
        return preset.steps if preset.mode == "mean" else self.steps or preset.steps


def denoise(
    source: str, target: str, settings: Settings, *, roi: Bounds | None = None, threads: int = 0
) -> list[str]:
    """``denoise IN.nrrd -o OUT.nrrd ...``: all but the program.

    Args:
        source: file of the input.
        target: file to make; an uncertainty lies beside it.
        settings: how.
        roi: the voxels to denoise; None for all.
        threads: CPU threads; 0 for all cores.
    """
    preset = PRESETS[settings.preset]
    words = ["denoise", source, "-o", target, "--modality", settings.modality.lower(), "--mode", preset.mode]
    words += ["--steps", str(settings.evaluations), "--strength", repr(float(settings.strength))]
    words += ["--tier", preset.tier, "--seed", str(settings.seed), "--device", settings.device]
    words += ["--model", settings.model] if settings.model else []
    words += ["--save-uncertainty"] if preset.uncertainty else []
    words += ["--roi", ",".join(map(str, roi))] if roi is not None else []
    words += ["--threads", str(threads)] if threads else []
    return [*words, "--progress", "jsonl"]


def derive(values: str, sources: str, derivation: str, folder: str) -> list[str]:
    """``derive ...``: voxels as a derived series of their source files.

    Args:
        values: file of the voxels.
        sources: text file with the paths of the source files.
        derivation: JSON file with how they were made.
        folder: where the series' own folder goes.
    """
    words = ["derive", values, "--sources", sources, "--derivation", derivation, "-o", folder]
    return [*words, "--progress", "jsonl"]


def for_panel(hint: str) -> str:
    """A hint of the command line in the words of the panel."""
    if "--modality" in hint:
        return "Choose CT or MR as the modality."
    if "--overwrite" in hint:
        return "Choose another folder."
    if "--sigma" in hint:
        return "There is too little to measure the noise from: denoise a larger part, or use medidiff itself."
    if "neither resampled nor moved" in hint:
        return (
            "Where Slicer has laid tilted or uneven slices on a regular grid, denoise the files themselves: "
            "medidiff denoise FOLDER."
        )
    if "--device" in hint:
        return "Choose the device auto or cpu."
    if "-v " in hint or "--tile" in hint:
        hint = re.sub(r"Use -v [^.]*\.", "See the log.", hint)
        hint = hint.replace(", or use a smaller --tile, or --tier fast.", ", or choose a smaller region.")
    return hint


def in_words(command: Sequence[str]) -> str:
    """A command line for the log; never run through a shell."""
    return " ".join(f'"{word}"' if " " in word else word for word in command)
