"""VIF, HaarPSI, SSIM and PSNR are those of piq, torchmetrics and scikit-image, and of slow loops.

The values come from benchmarks/metric_references.py, which needs PyTorch; this test does not.
"""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.evaluation import WINDOWS, Protocol, haarpsi, psnr, ssim, vif
from medidiff.evaluation.protocol import RMSE_CLIP_HU

SHAPES = {"even": (96, 112), "odd": (91, 75), "small": (41, 44)}
REFERENCES = [
    ("even", "vif", "torchmetrics", 0.506917008),
    ("even", "vif", "piq", 0.506916993),
    ("even", "vif with roles exchanged", "torchmetrics", 0.485082061),
    ("even", "haarpsi chest", "piq", 0.988345146),
    ("even", "psnr chest", "torchmetrics", 30.700984659),
    ("even", "ssim chest", "scikit-image", 0.835285261),
    ("even", "haarpsi abdomen", "piq", 0.967789656),
    ("even", "psnr abdomen", "torchmetrics", 27.329349141),
    ("even", "ssim abdomen", "scikit-image", 0.730528117),
    ("even", "haarpsi neuro", "piq", 0.802359159),
    ("even", "psnr neuro", "torchmetrics", 14.146618685),
    ("even", "ssim neuro", "scikit-image", 0.576966250),
    ("odd", "vif", "torchmetrics", 0.519170207),
    ("odd", "vif", "piq", 0.519170194),
    ("odd", "vif with roles exchanged", "torchmetrics", 0.507648223),
    ("odd", "haarpsi chest", "piq", 0.992791261),
    ("odd", "psnr chest", "torchmetrics", 30.668439351),
    ("odd", "ssim chest", "scikit-image", 0.853776312),
    ("odd", "haarpsi abdomen", "piq", 0.987876887),
    ("odd", "psnr abdomen", "torchmetrics", 27.359500237),
    ("odd", "ssim abdomen", "scikit-image", 0.754976912),
    ("odd", "haarpsi neuro", "piq", 0.849857163),
    ("odd", "psnr neuro", "torchmetrics", 14.168210186),
    ("odd", "ssim neuro", "scikit-image", 0.590704617),
    ("small", "vif", "torchmetrics", 0.511073864),
    ("small", "vif", "piq", 0.511073857),
    ("small", "vif with roles exchanged", "torchmetrics", 0.514968858),
    ("small", "haarpsi chest", "piq", 0.993688278),
    ("small", "psnr chest", "torchmetrics", 30.600384920),
    ("small", "ssim chest", "scikit-image", 0.926604271),
    ("small", "haarpsi abdomen", "piq", 0.980688709),
    ("small", "psnr abdomen", "torchmetrics", 27.455660650),
    ("small", "ssim abdomen", "scikit-image", 0.827822572),
    ("small", "haarpsi neuro", "piq", 0.810867703),
    ("small", "psnr neuro", "torchmetrics", 14.342295715),
    ("small", "ssim neuro", "scikit-image", 0.553173741),
]


def pair(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The images of benchmarks/metric_references.py, HU."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    v, u = 2 * y / (shape[0] - 1) - 1, 2 * x / (shape[1] - 1) - 1
    reference = np.full(shape, -1000.0)
    reference[(u / 0.9) ** 2 + (v / 0.8) ** 2 < 1] = 40.0
    reference[((u - 0.4) / 0.3) ** 2 + (v / 0.4) ** 2 < 1] = -820.0
    reference[(u / 0.12) ** 2 + ((v - 0.5) / 0.12) ** 2 < 1] = 900.0
    reference += 25 * np.sin(x / 5.0) * np.cos(y / 7.0)
    noise = 30 * np.sin(12.9898 * x + 78.233 * y + 0.01 * x * y) + 20 * np.cos(3.1 * x - 2.3 * y)
    return reference, 0.95 * reference + noise


@pytest.mark.parametrize(("name", "figure", "by", "expected"), REFERENCES)
def test_values_of_other_libraries(name: str, figure: str, by: str, expected: float) -> None:
    a, b = (image[None] for image in pair(SHAPES[name]))
    metric, _, window = figure.partition(" ")
    if metric == "vif":
        if window:  # as ldct-benchmark calls it
            a, b = b, a
        found = vif(a, b, Protocol(WINDOWS["abdomen"], None, RMSE_CLIP_HU))
    else:
        function = {"haarpsi": haarpsi, "psnr": psnr, "ssim": ssim}[metric]
        found = function(a, b, Protocol(WINDOWS[window], None, RMSE_CLIP_HU))
    # piq's stabilising constants are larger than those of the authors' code.
    assert found.mean == pytest.approx(expected, rel=1e-7 if by != "piq" else 1e-6)


def windowed(image: np.ndarray) -> np.ndarray:
    return np.clip((image + 150) / 400, 0, 1)


def slow_haarpsi(a: np.ndarray, b: np.ndarray) -> float:
    """The definition pixel by pixel (Reisenhofer et al. 2018, equations 8 to 13), with zeros outside."""

    def halved(image: np.ndarray) -> np.ndarray:
        h, w = (n // 2 for n in image.shape)
        return np.array(
            [[image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(w)] for i in range(h)]
        )

    def coefficients(image: np.ndarray, scale: int) -> np.ndarray:
        size = 2**scale
        out = np.zeros((2, *image.shape))
        padded = np.pad(image, size)
        for i in range(image.shape[0]):
            for j in range(image.shape[1]):
                top, left = size + i - (size // 2 - 1), size + j - (size // 2 - 1)
                box = padded[top : top + size, left : left + size]
                half = size // 2
                out[0, i, j] = (box[:half].sum() - box[half:].sum()) / size
                out[1, i, j] = (box[:, :half].sum() - box[:, half:].sum()) / size
        return np.abs(out)

    a, b = halved(a), halved(b)
    ga, gb = ([coefficients(image, scale) for scale in (1, 2, 3)] for image in (a, b))
    similar = sum((2 * x * y + 30) / (x**2 + y**2 + 30) for x, y in zip(ga[:2], gb[:2], strict=True)) / 2
    weight = np.maximum(ga[2], gb[2])
    mean = (weight / (1 + np.exp(-4.2 * similar))).sum() / weight.sum()
    return float((np.log(mean / (1 - mean)) / 4.2) ** 2)


def slow_vif(a: np.ndarray, b: np.ndarray) -> float:
    """Weighted moments window by window (Sheikh and Bovik 2006, section II, in the pixel domain)."""
    kept = total = 0.0
    for scale in range(4):
        n = 2 ** (4 - scale) + 1
        u = np.arange(n) - n // 2
        weight = np.exp(-(u[:, None] ** 2 + u**2) / (2 * (n / 5) ** 2))
        weight /= weight.sum()

        def windows(image: np.ndarray, n: int = n) -> np.ndarray:
            return np.lib.stride_tricks.sliding_window_view(image, (n, n))

        if scale:
            a, b = ((windows(i) * weight).sum((2, 3))[::2, ::2] for i in (a, b))
        for x, y in zip(windows(a).reshape(-1, n, n), windows(b).reshape(-1, n, n), strict=True):
            mx, my = (x * weight).sum(), (y * weight).sum()
            sx, sy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
            cov = (weight * (x - mx) * (y - my)).sum()
            g = max(cov / sx, 0.0)
            rest = sy - g * cov
            kept += np.log10(1 + g**2 * sx / (rest + 2))
            total += np.log10(1 + sx / 2)
    return float(kept / total)


def test_haarpsi_is_its_definition() -> None:
    a, b = pair((32, 36))
    expected = slow_haarpsi(255 * windowed(a), 255 * windowed(b))
    found = haarpsi(a[None], b[None], Protocol(WINDOWS["abdomen"])).mean
    assert found == pytest.approx(expected, rel=1e-10)
    assert found < 0.99


def test_vif_is_its_definition() -> None:
    a, b = pair((43, 46))
    expected = slow_vif(*(np.clip(i + 1024, 0, 2924) for i in (a, b)))
    assert vif(a[None], b[None], Protocol(None, 1.0, RMSE_CLIP_HU)).mean == pytest.approx(expected, rel=1e-9)


def test_vif_of_known_gain_and_noise(rng: np.random.Generator) -> None:
    """White reference of SD s, test g r + white noise of SD v: every window of every scale knows the answer.

    Smoothing to the next scale leaves each a white-like field of smaller variance; at scale 1 alone the ratio
    would be log(1 + g^2 s^2 / (v^2 + 2)) / log(1 + s^2 / 2). A pure gain keeps nearly everything.
    """
    r = rng.normal(0, 50, (1, 128, 128))
    flat = Protocol(None, 255.0)
    assert vif(r, r, flat).mean == pytest.approx(1.0, abs=1e-9)
    assert vif(r, r + 40.0, flat).mean == pytest.approx(1.0, abs=1e-9)
    assert vif(r, 1.2 * r, flat).mean > 1.0  # added contrast
    assert vif(r, -r, flat).mean == pytest.approx(0.0, abs=1e-9)  # inverted contrast tells nothing
    scores = [vif(r, r + rng.normal(0, sd, r.shape), flat).mean for sd in (10, 50, 200)]
    assert 1 > scores[0] > scores[1] > scores[2] > 0


def test_vif_depends_on_the_unit_which_the_protocol_states() -> None:
    """CT counts in HU, anything else in parts of the data range: 8 bit would raise the observer's noise."""
    a, b = (image[None] for image in pair(SHAPES["even"]))
    hu = vif(a, b, Protocol(WINDOWS["abdomen"], None, RMSE_CLIP_HU))
    scaled = vif(a + 1024, b + 1024, Protocol(None, 4096.0))
    assert hu.mean != pytest.approx(scaled.mean, rel=1e-3)
    assert "VIF on the values of RMSE" in str(hu.protocol)
    assert "255 at the data range" in str(scaled.protocol)
    same = vif(4 * (a + 1024), 4 * (b + 1024), Protocol(None, 4 * 4096.0))
    assert same.mean == pytest.approx(scaled.mean, rel=1e-9)
