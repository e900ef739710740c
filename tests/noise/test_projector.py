"""Projector and back-projection, held to the closed form of a disk and to each other."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy import ndimage

from medidiff.noise import projector

HAS_ASTRA = find_spec("astra") is not None
ASTRA = pytest.param(
    "astra", marks=pytest.mark.skipif(not HAS_ASTRA, reason="astra-toolbox is not installed (extra ct-sim)")
)
BACKENDS = pytest.mark.parametrize("backend", [ASTRA, "skimage"])


def disk(size: int, radius: float, centre: tuple[float, float], fine: int = 4) -> np.ndarray:
    """A disk of value 1 whose edge pixels hold the covered share; centre in pixel indices (y, x)."""
    steps = (np.arange(fine) + 0.5) / fine - 0.5
    sub = (np.arange(size)[:, None] + steps).ravel()
    inside = (sub[:, None] - centre[0]) ** 2 + (sub[None, :] - centre[1]) ** 2 < radius**2
    return inside.reshape(size, fine, size, fine).mean((1, 3)).astype(np.float32)


def middle(size: int, backend: str) -> float:
    """Pixel index of the axis of rotation (scikit-image: a pixel centre)."""
    return (size - 1) / 2 if backend == "astra" else float(size // 2)


def test_detector_covers_the_diagonal() -> None:
    assert projector.bins(512) == 736
    assert all(projector.bins(n) >= n * np.sqrt(2) and projector.bins(n) % 2 == 0 for n in range(16, 600, 7))


@BACKENDS
@pytest.mark.parametrize("size", [128, 97])
def test_line_integrals_of_a_disk(backend: str, size: int) -> None:
    centre = middle(size, backend)
    radius = 0.35 * size
    sinogram = projector.forward(disk(size, radius, (centre, centre)), 24, backend)
    assert sinogram.shape == (24, projector.bins(size))
    assert sinogram.dtype == np.float32
    u = np.arange(sinogram.shape[1]) - middle(sinogram.shape[1], backend)
    expected = 2 * np.sqrt(np.maximum(radius**2 - u**2, 0.0))
    inner = np.abs(u) < radius - 3  # the chord is vertical at the rim
    error = np.abs(sinogram[:, inner] / expected[inner] - 1)
    assert error.max() < 0.03
    assert np.abs(sinogram[:, inner].mean(0) / expected[inner] - 1).max() < 0.01
    assert np.abs(sinogram[:, np.abs(u) > radius + 2]).max() == 0.0


@BACKENDS
@pytest.mark.parametrize(("size", "views"), [(128, 180), (97, 120), (64, 90)])
def test_back_projection_inverts_projection(backend: str, size: int, views: int) -> None:
    """An off-centre disk comes back with mean 1 within 1 %, in its place, with nothing beside it."""
    centre = (0.45 * size, 0.56 * size)
    radius = 0.25 * size
    picture = disk(size, radius, centre)
    out = projector.back_project(projector.forward(picture, views, backend), size, backend)
    assert out.shape == (size, size)
    inner = disk(size, radius - 3, centre) == 1
    assert out[inner].mean() == pytest.approx(1.0, abs=0.01)
    far = disk(size, radius + 4, centre) == 0
    assert abs(out[far].mean()) < 0.01
    np.testing.assert_allclose(ndimage.center_of_mass(np.maximum(out, 0) * ~far), centre, atol=0.1)


@BACKENDS
def test_corners_of_the_picture_are_seen(backend: str) -> None:
    """The detector reaches the diagonal: a disk near the corner is reconstructed like any other."""
    picture = disk(96, 6.0, (9.0, 86.0))
    out = projector.back_project(projector.forward(picture, 180, backend), 96, backend)
    assert out[disk(96, 3.5, (9.0, 86.0)) == 1].mean() == pytest.approx(1.0, abs=0.03)


@BACKENDS
def test_both_operators_are_linear(backend: str) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 48, 48), dtype=np.float32)
    both = projector.forward(2 * a + b, 30, backend)
    parts = 2 * projector.forward(a, 30, backend) + projector.forward(b, 30, backend)
    np.testing.assert_allclose(both, parts, atol=1e-3)
    noise = rng.standard_normal((2, *both.shape), dtype=np.float32)
    out = projector.back_project(noise[0] - 3 * noise[1], 48, backend)
    split = projector.back_project(noise[0], 48, backend) - 3 * projector.back_project(noise[1], 48, backend)
    np.testing.assert_allclose(out, split, atol=1e-3)


@pytest.mark.skipif(not HAS_ASTRA, reason="astra-toolbox is not installed (extra ct-sim)")
def test_astra_and_scikit_image_agree() -> None:
    size = 128
    body = disk(size, 50, (63.5, 63.5)) + 0.5 * disk(size, 9, (50, 80)) - 0.6 * disk(size, 14, (70, 45))
    out = [
        projector.back_project(projector.forward(body, 180, b), size, b)  # type: ignore[arg-type]
        for b in ("astra", "skimage")
    ]
    inside = ndimage.binary_erosion(body == 1, iterations=3)
    assert np.abs(out[0] - out[1])[inside].mean() < 0.01
    assert np.sqrt(np.mean((out[0] - out[1]) ** 2)) < 0.04


def test_choice_of_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert projector.choose("skimage") == "skimage"
    assert projector.choose("auto") == ("astra" if HAS_ASTRA else "skimage")
    monkeypatch.setattr(projector, "find_spec", lambda name: None)
    assert projector.choose("auto") == "skimage"
