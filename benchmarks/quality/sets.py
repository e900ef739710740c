"""The held-out cases of a modality, and what the commands that use them have in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from medidiff.denoise import Denoiser
from medidiff.engines import EngineSettings, create
from medidiff.models import load
from medidiff.noise.spectrum import named_kernel
from quality.case import Case, Slot
from quality.ct_cases import DOSES, ct_slots
from quality.mr_cases import LEVELS, mr_slots


def slots(
    modality: str, count: int, levels: Sequence[float] | None = None, kernel: str = "soft"
) -> Iterator[Slot]:
    """The places of a modality.

    Args:
        modality: ``"ct"`` or ``"mr"``.
        count: slices of each series.
        levels: dose fractions or noise levels; None for the standard ones.
        kernel: of CT noise, ``"soft"`` or ``"sharp"``.
    """
    if modality == "ct":
        return ct_slots(count, named_kernel(kernel), levels or DOSES)
    return mr_slots(count, levels or LEVELS)


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """The cases that a command line asks for."""
    for slot in slots(options.modality, options.slices, fractions(options.levels), options.kernel):
        for level in slot.levels:
            yield slot.make(level)


def fractions(texts: Sequence[str] | None) -> list[float] | None:
    """``["25%", "6"]`` as shares; None for none."""
    return [float(t.rstrip("%")) / 100.0 for t in texts] if texts else None


def add_options(parser: argparse.ArgumentParser, slices: int) -> None:
    """Modality, model, slices, levels, kernel."""
    parser.add_argument("modality", choices=["ct", "mr"])
    parser.add_argument("--bundle", help="model name or folder (default: the shipped one)")
    parser.add_argument("--slices", type=int, default=slices, help="slices of each series")
    parser.add_argument(
        "--levels", "--doses", nargs="+", metavar="PERCENT", help="such as 25%% or 6; default: all"
    )
    parser.add_argument("--kernel", choices=["soft", "sharp"], default="soft", help="of the noise (CT)")
    parser.add_argument("--precision", default="auto")


def denoiser_of(options: argparse.Namespace) -> Denoiser:
    """The model of a command line on OpenVINO."""
    bundle = load(options.bundle or options.modality)
    return Denoiser(bundle, create("openvino", bundle, EngineSettings(precision=options.precision)))


def model_line(denoiser: Denoiser, options: argparse.Namespace) -> str:
    """Model and cases in words."""
    bundle = denoiser.bundle
    noise = (
        f"projection-domain noise, {options.kernel} kernel" if options.modality == "ct" else "Rician noise"
    )
    return (
        f"Model {bundle.name} {bundle.version} ({bundle.sha256[:12]}), held-out patients, "
        f"{options.slices} slices of each series, {noise}."
    )
