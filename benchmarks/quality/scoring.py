"""Figures of one answer: PSNR, SSIM, RMSE, VIF, HU bias by tissue, NPS distance."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medidiff.evaluation.bias import hu_bias
from medidiff.evaluation.metrics import psnr, rmse, ssim
from medidiff.evaluation.nps import log_l1
from medidiff.evaluation.texture import TextureSum
from medidiff.evaluation.vif import vif
from quality.case import Case, FloatArray

NPS_LIMIT_LP_CM = 5.0

PROTOCOL = (
    "PSNR and SSIM on the window (CT) or with the volume's 99.5th percentile as range (MR); RMSE in HU on "
    "[-1024, 1900] (CT) or in the scan's unit; VIF on HU + 1024 (CT) or 255 at the range; bias: mean of "
    "result minus reference, HU, by tissue of the reference smoothed by 2 px; NPS: mean |ln| distance of the "
    "shapes of the power spectra of result and reference up to 5 lp/cm, in the four flattest 64x64 patches "
    "of the reference in the body, less their second-order trend (0: the texture of the reference)"
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
        figures |= {f"bias_{b.name}": b.bias for b in hu_bias(reference, test)}
    return {k: float(v) for k, v in figures.items() if v is not None and np.isfinite(v)}


def nps_distance(case: Case, image: FloatArray) -> float | None:
    """Texture beside that of the reference; None without a flat patch in the body."""
    smooth = ndimage.gaussian_filter(case.reference, 2.0)
    gradient = np.hypot(*np.gradient(smooth)).astype(np.float32)
    spectra = TextureSum(case.volume.pixel_mm, case.volume.unit)
    spectra.add(case.reference, np.asarray(image, np.float32), gradient, case.body)
    before, after, _ = spectra.result()
    if before is None or after is None:
        return None
    return log_l1(before, after, NPS_LIMIT_LP_CM)
