"""Protocol: what a figure was computed with: window, data range, clipping and mask."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.errors import PixelError, UsageError
from medidiff.volume import BoolArray, Volume

DATA_RANGE_PERCENTILE = 99.5
RMSE_CLIP_HU = (-1024.0, 1900.0)
"""HU + 1024 clipped to [0, 2924], the range of ldct-benchmark (Eulig et al. 2024)."""
SSIM_WINDOW = 7


@dataclass(frozen=True)
class Window:
    """A display window; `apply` maps its range to [0, 1] and clips.

    Attributes:
        name: how it is printed.
        centre: centre, in the image's unit.
        width: full width.
    """

    name: str
    centre: float
    width: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.centre) and np.isfinite(self.width) and self.width > 0):
            raise UsageError("A window needs a positive width", received=f"{self.centre},{self.width}")

    @property
    def low(self) -> float:
        """Value shown as 0."""
        return self.centre - self.width / 2

    def apply(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        """w = clip((image - C + W/2) / W, 0, 1), float64."""
        return np.clip((np.asarray(image, np.float64) - self.low) / self.width, 0.0, 1.0)


WINDOWS = {
    "chest": Window("chest", -600.0, 1500.0),
    "abdomen": Window("abdomen", 50.0, 400.0),
    "neuro": Window("neuro", 40.0, 80.0),
}
FULL_CT = Window("none", 1024.0, 4096.0)
"""What ``none`` means for CT: [-1024, 3072] HU, data range 4096."""


@dataclass(frozen=True)
class Protocol:
    """How figures are computed. Figures of different protocols must not be compared.

    Attributes:
        window: PSNR and SSIM are computed on the windowed image, data range 1; None: on the values.
        data_range: without a window, the range of PSNR and SSIM in the image's unit; None: to be read from
            the reference as its 99.5th percentile (see `resolved`).
        rmse_clip: RMSE is computed on values clipped to this range; None: not clipped.
        exclude_padding: leave padding pixels of either volume out: of PSNR and RMSE, and of the pixels over
            which the SSIM map is averaged (inside the map's windows padding counts as the window's low end in
            both images). VIF leaves out every window that sees any of them.
        bias_smoothing_px: the reference is low-passed by a Gaussian of this SD before its pixels are put into
            HU bins, for a noisy reference biases its own bins; 0 for a noise-free truth.
        region: which pixels count, for people; "" where all do (see `medidiff.evaluation.region`).
        range_of_reference: the data range was read from the reference, and differs from scan to scan.
    """

    window: Window | None
    data_range: float | None = None
    rmse_clip: tuple[float, float] | None = None
    exclude_padding: bool = True
    bias_smoothing_px: float = 2.0
    region: str = ""
    range_of_reference: bool = False

    def __post_init__(self) -> None:
        if self.data_range is not None and not (np.isfinite(self.data_range) and self.data_range > 0):
            raise UsageError("The data range must be positive", received=self.data_range)
        if not self.bias_smoothing_px >= 0:
            raise UsageError("The smoothing must not be negative", received=self.bias_smoothing_px)

    @classmethod
    def for_volume(
        cls, reference: Volume, window: str | None = None, data_range: float | None = None
    ) -> Protocol:
        """The protocol for a reference: abdomen window for CT, no window for anything else.

        Args:
            reference: the reference volume.
            window: ``chest``, ``abdomen``, ``neuro``, ``C,W`` or ``none``; None for the modality's default.
            data_range: range for volumes without a window.

        Raises:
            UsageError: the window is unknown, or a data range is given beside a window.
        """
        ct = reference.modality == "CT" or reference.unit == "HU"
        chosen = parse_window(window) if window is not None else (WINDOWS["abdomen"] if ct else None)
        if chosen is None and ct and data_range is None:
            chosen = FULL_CT
        if chosen is not None and data_range is not None:
            raise UsageError(
                "A window has data range 1; a data range goes with window none",
                received=f"window {chosen.name}, data range {data_range}",
            )
        return cls(chosen, data_range, RMSE_CLIP_HU if ct else None)

    def resolved(self, reference: NDArray[np.floating], valid: BoolArray | None = None) -> Protocol:
        """The same protocol with the data range as a number.

        Args:
            reference: reference values, any shape.
            valid: pixels that count; None for all finite ones.

        Raises:
            PixelError: the reference has no positive values to take a range from.
        """
        if self.window is not None:
            return replace(self, data_range=1.0)
        if self.data_range is not None:
            return self
        values = reference[np.isfinite(reference) if valid is None else valid]
        top = float(np.percentile(values, DATA_RANGE_PERCENTILE)) if values.size else 0.0
        if not top > 0:
            raise PixelError(
                "The reference has no positive values to take a data range from",
                received=f"{DATA_RANGE_PERCENTILE}th percentile {top:g}",
                hint="Give the data range.",
            )
        return replace(self, data_range=top, range_of_reference=True)

    @property
    def peak(self) -> float:
        """The data range as a number."""
        if self.data_range is None:
            raise TypeError("the protocol must be resolved first")
        return self.data_range

    def prepare(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        """The image as PSNR and SSIM see it."""
        return np.asarray(image, np.float64) if self.window is None else self.window.apply(image)

    def prepare_8bit(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        """The image as HaarPSI sees it: displayed in the window, or from 0 to the data range, as 0 to 255."""
        if self.window is not None:
            return 255.0 * self.window.apply(image)
        return 255.0 * np.clip(np.asarray(image, np.float64) / self.peak, 0.0, 1.0)

    def prepare_vif(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        """The image as VIF sees it.

        CT: as RMSE does, counted from the low end of the clipping (HU + 1024, ldct-benchmark). Anything else
        has no unit that the observer's noise could be stated in: 255 stands for the data range (the scale
        that the authors of VIF state it for).
        """
        if self.rmse_clip is not None:
            return self.prepare_rmse(image) - self.rmse_clip[0]
        return np.asarray(image, np.float64) * (255.0 / self.peak)

    def prepare_rmse(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        """The image as RMSE sees it."""
        values = np.asarray(image, np.float64)
        return values if self.rmse_clip is None else np.clip(values, *self.rmse_clip)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.window is not None:
            shown = f"window {self.window.name} (C {self.window.centre:g} W {self.window.width:g})"
        else:
            shown = "no window"
        percentile = f"{DATA_RANGE_PERCENTILE}th percentile of the reference"
        if self.window is not None:
            span = "1"
        elif self.data_range is None:
            span = f"the {percentile}"
        else:
            span = f"{self.data_range:g}{f' ({percentile})' if self.range_of_reference else ''}"
        clip = "unclipped" if self.rmse_clip is None else "clipped to [{:g}, {:g}]".format(*self.rmse_clip)
        vif = "255 at the data range" if self.rmse_clip is None else "the values of RMSE"
        mask = "padding excluded" if self.exclude_padding else "padding included"
        region = (
            f", {self.region} only (VIF: windows wholly in it; SSIM, HaarPSI: low end outside)"
            if self.region
            else ""
        )
        return (
            f"{shown}, data range {span}, "
            f"SSIM {SSIM_WINDOW}x{SSIM_WINDOW} uniform, HaarPSI as shown (0 to 255), RMSE {clip}, "
            f"VIF on {vif}, {mask}{region}, mean over slices"
        )


def parse_window(text: str) -> Window | None:
    """A window from ``chest``, ``abdomen``, ``neuro``, ``C,W`` or ``none`` (None).

    Raises:
        UsageError: none of these.
    """
    key = text.strip().lower()
    if key == "none":
        return None
    if key in WINDOWS:
        return WINDOWS[key]
    try:
        centre, width = (float(part) for part in key.split(","))
    except ValueError:
        raise UsageError(
            "Unknown window", received=text, hint=f"Use {', '.join(WINDOWS)}, C,W (as in 50,400) or none."
        ) from None
    return Window(f"{centre:g},{width:g}", centre, width)
