"""Figures of one answer: PSNR, SSIM, RMSE, VIF, HU bias by tissue, NPS distance."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medidiff.errors import PixelError
from medidiff.evaluation.bias import hu_bias
from medidiff.evaluation.metrics import psnr, rmse, ssim
from medidiff.evaluation.nps import log_l1, nps
from medidiff.evaluation.texture import TextureSum
from medidiff.evaluation.vif import vif
from medidiff.noise.floor import GAUSSIAN_SNR
from medidiff.volume import FloatArray
from quality.case import CLEAN, Case

NPS_LIMIT_LP_CM = 5.0

LEAST_PIXELS = 500
"""A tissue with fewer pixels in a slice has no bias: the noise in so few is no small mean."""

PROTOCOL = (
    "PSNR and SSIM on the window (CT) or with the volume's 99.5th percentile as range (MR); RMSE in HU on "
    "[-1024, 1900] (CT) or in the scan's unit; tissue (MR): PSNR where the reference, smoothed by 2 px, is "
    f"above {GAUSSIAN_SNR:g} SDs of its own noise (that before binning), since air in it holds the floor of "
    "that noise, which a clean image has not; VIF on HU + 1024 (CT) or 255 at the range; bias: mean of "
    "result minus reference, HU, by tissue of the reference smoothed by 2 px, where a slice has at least "
    f"{LEAST_PIXELS} pixels of it. NPS: mean |ln| distance of the shapes of two power spectra up to 5 lp/cm. "
    "Against a noisy reference those of result and reference in its four flattest 64x64 patches in the body, "
    "less their second-order trend (0: the texture of the reference); against a nearly noise-free truth "
    "those of the error that is left and of the scan's noise in the body (0: the texture of the scan)"
)


def score(case: Case, image: FloatArray) -> dict[str, float]:
    """The figures that can be had; what has no value (a bin without pixels) is left out."""
    reference, test = case.reference[None], np.asarray(image, np.float32)[None]
    figures: dict[str, float | None] = {
        "psnr": psnr(reference, test, case.protocol).mean,
        "ssim": ssim(reference, test, case.protocol).mean,
        "rmse": rmse(reference, test, case.protocol).mean,
        "vif": vif(reference, test, case.protocol).mean,
        "nps": nps_distance(case, test[0]),
    }
    if case.volume.modality == "CT":
        bins = [b for b in hu_bias(reference, test) if b.pixels >= LEAST_PIXELS]
        figures |= {f"bias_{b.name}": b.bias for b in bins}
    else:
        tissue = case.tissue
        if tissue.sum() >= LEAST_PIXELS:
            figures["psnr_tissue"] = psnr(reference, test, case.protocol, tissue[None]).mean
    return {k: float(v) for k, v in figures.items() if v is not None and np.isfinite(v)}


def nps_distance(case: Case, image: FloatArray) -> float | None:
    """Distance of textures, see `PROTOCOL`; None without a patch in the body, or without an error."""
    image = np.asarray(image, np.float32)
    if case.kind == CLEAN:
        return _of_the_error(case, image)
    smooth = ndimage.gaussian_filter(case.reference, 2.0)
    gradient = np.hypot(*np.gradient(smooth)).astype(np.float32)
    spectra = TextureSum(case.volume.pixel_mm, case.volume.unit)
    spectra.add(case.reference, image, gradient, case.body)
    before, after, _ = spectra.result()
    return None if before is None or after is None else log_l1(before, after, NPS_LIMIT_LP_CM)


def _of_the_error(case: Case, image: FloatArray) -> float | None:
    """Texture of what is left of the noise beside that of the noise."""
    try:
        noise, left = (
            nps((a - case.reference)[None], case.body, case.volume.pixel_mm, case.volume.unit)
            for a in (case.noisy, image)
        )
    except PixelError:
        return None
    return log_l1(noise, left, NPS_LIMIT_LP_CM)
