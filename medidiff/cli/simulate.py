"""``medidiff simulate``: noise added to a clean scan, as physics makes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.insertion import Insertion, add_noise
from medidiff.cli.options import (
    EPILOG,
    INPUT,
    SETTINGS,
    HelpfulCommand,
    RunOptions,
    output_options,
    progress_option,
    talk_options,
)
from medidiff.cli.types import KernelType, LevelType

if TYPE_CHECKING:
    from medidiff.volume import Volume

WINDOWS = ("none", "elliptical", "tukey", "hamming", "hann")
"""None, and the names of `medidiff.noise.kspace`, which is not imported for `--help`."""

seed_option = click.option(
    "--seed", type=click.IntRange(0), default=1,
    help="Seed of all random numbers; each scan makes its own noise of it.",
)  # fmt: skip


@click.group(epilog=EPILOG, context_settings=SETTINGS, short_help="Add physical noise to a clean scan.")
def command() -> None:
    """Add physical noise to a clean scan and write it as a derived series.

    Scans of one folder, and stacks of one series, get different noise; the same command gives the same noise
    again. What tells scans apart is the Series Instance UID, for files the path below CLEAN.

    \b
    medidiff simulate ct clean/ -o noisy --dose 0.25
    medidiff simulate mr clean.nii.gz -o noisy --sigma 6%
    """


@command.command("ct", cls=HelpfulCommand, short_help="Lower the dose of a CT scan.")
@click.argument("clean", type=INPUT)
@output_options
@click.option(
    "--dose", type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True), default=None,
    show_default="none", help="Fraction of the dose of CLEAN.",
)  # fmt: skip
@click.option(
    "--sigma", type=LevelType(), default=None, show_default="none", metavar="HU",
    help="SD to add in soft tissue, instead of --dose.",
)  # fmt: skip
@click.option(
    "--full-sigma", type=click.FloatRange(0.0, min_open=True), default=None, show_default="estimated",
    help="Noise SD of CLEAN in HU, for --dose.",
)  # fmt: skip
@click.option(
    "--kernel", type=KernelType(), default="soft", metavar="soft|sharp|F50",
    help="Reconstruction kernel; F50 is its half response in lp/cm.",
)  # fmt: skip
@click.option(
    "--photons", type=click.FloatRange(1.0), default=2.0e5,
    help="Photons a ray at full dose: few of them make the electronic noise matter.",
)  # fmt: skip
@click.option(
    "--electronic", type=click.FloatRange(0.0), default=10.0, help="Electronic noise variance, photons^2."
)
@click.option("--bow-tie", is_flag=True, help="Fewer photons towards the edge of the field.")
@click.option("--views", type=click.IntRange(16), default=540, help="Projection angles.")
@seed_option
@progress_option
@talk_options
def simulate_ct(
    clean: Path,
    dose: float | None,
    sigma: tuple[float, bool] | None,
    full_sigma: float | None,
    kernel: str | float,
    photons: float,
    electronic: float,
    bow_tie: bool,
    views: int,
    seed: int,
    **run: Any,
) -> int:
    """Add the noise of a lower dose to the CT scan CLEAN.

    The noise is made in the projection domain from the patient's own attenuation, streaks included. With
    --dose a, its SD in soft tissue is sigma_full sqrt((1 - a) / a), so that the noise variance of the result
    is that of CLEAN over a.
    """
    from medidiff.errors import UsageError
    from medidiff.noise.ct import Scanner
    from medidiff.noise.insert import SHAPE_DOSE, dose_sigma, insert_ct
    from medidiff.noise.spectrum import named_kernel

    if (dose is None) == (sigma is None):
        raise UsageError("Please specify either --dose or --sigma", hint="For example: --dose 0.25")
    if sigma is not None and sigma[1]:
        raise UsageError("The SD of CT noise is in HU", received=f"{sigma[0]:g}%", hint="Leave the % out.")
    if full_sigma is not None and dose is None:
        raise UsageError("--full-sigma goes with --dose", received=f"--full-sigma {full_sigma:g} --sigma")
    scanner = Scanner(photons, electronic, named_kernel(kernel), bow_tie, views)

    def insert(
        volume: Volume,
        own: tuple[int, ...],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> tuple[Volume, str]:
        if dose is None:
            level, text = sigma[0] if sigma else 0.0, "no dose given"
        else:
            full = full_sigma or _estimate(volume)
            level, text = dose_sigma(full, dose), f"dose {dose:.4g} of a scan with {full:.3g} HU"
        noisy = insert_ct(
            volume, level, own, dose=dose or SHAPE_DOSE, scanner=scanner, progress=progress,
            cancelled=cancelled,
        )  # fmt: skip
        return noisy, f"{level:.4g} HU added in soft tissue, {text}"

    suffix = f"dose{100 * dose:.4g}" if dose is not None else f"noise{sigma[0] if sigma else 0:.4g}"
    name = f"ct-insertion {photons:.3g} photons, electronic {electronic:.3g}, kernel {kernel}"
    return add_noise(clean, Insertion("CT", insert, suffix, name, seed), RunOptions(**run))


@command.command("mr", cls=HelpfulCommand, short_help="Add noise to an MR scan.")
@click.argument("clean", type=INPUT)
@output_options
@click.option(
    "--sigma", type=LevelType(), required=True, metavar="VALUE[%]",
    help="Noise SD, in the scan's units or in percent of the foreground's 99th percentile.",
)  # fmt: skip
@click.option("--coils", type=click.IntRange(1), default=1, help="Root-sum-of-squares channels. 1 is Rician.")
@click.option(
    "--g-map", "g_strength", type=click.FloatRange(0.0), default=0.0,
    help="Noise amplification of parallel imaging runs from 1 to 1 + this.",
)  # fmt: skip
@click.option(
    "--zero-fill", type=click.FloatRange(1.0), default=1.0, help="Image matrix over acquired matrix."
)
@click.option(
    "--acquired", type=click.FloatRange(0.5, 1.0), default=1.0, help="Share of phase-encode lines acquired."
)
@click.option("--window", type=click.Choice(WINDOWS), default="none", help="Weights of the k-space samples.")
@seed_option
@progress_option
@talk_options
def simulate_mr(
    clean: Path,
    sigma: tuple[float, bool],
    coils: int,
    g_strength: float,
    zero_fill: float,
    acquired: float,
    window: str,
    seed: int,
    **run: Any,
) -> int:
    """Add the noise of a faster scan to the MR scan CLEAN.

    Complex Gaussian noise on the acquired samples, seen in the magnitude image: Rician with one coil,
    non-central chi with more.
    """
    from medidiff.intensity import foreground_p99
    from medidiff.noise.insert import insert_mr
    from medidiff.noise.kspace import NAMED
    from medidiff.noise.mr import MRNoise

    number, percent = sigma

    def insert(
        volume: Volume,
        own: tuple[int, ...],
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> tuple[Volume, str]:
        level, text = number, ""
        if percent:
            level = number / 100.0 * foreground_p99(volume.array, volume.padding)
            text = f" ({number:g} % of the foreground's 99th percentile)"
        params = MRNoise(
            level, coils=coils, g_strength=g_strength, acquired=acquired, zero_fill=(zero_fill, zero_fill),
            window=NAMED.get(window),
        )  # fmt: skip
        noisy = insert_mr(volume, params, own, progress=progress, cancelled=cancelled)
        return noisy, f"{level:.4g} {volume.unit} a channel{text}"

    suffix = f"noise{number:.4g}{'pct' if percent else ''}"
    name = f"mr-noise {coils} coils, g-map {g_strength:g}, zero-fill {zero_fill:g}, acquired {acquired:g}"
    if window != "none":
        name += f", window {window}"
    return add_noise(clean, Insertion("MR", insert, suffix, name, seed), RunOptions(**run))


def _estimate(volume: Volume) -> float:
    """The scan's own noise SD."""
    from medidiff.errors import NoiseLevelError
    from medidiff.noise.estimate import estimate

    try:
        return float(estimate(volume).sigma)
    except NoiseLevelError as error:
        raise NoiseLevelError(
            "The noise level of the clean scan cannot be estimated", hint="Give it: --full-sigma VALUE."
        ) from error
