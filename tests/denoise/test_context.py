"""Context, tiles and texture: the parts of the denoiser that can be checked on their own."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medidiff.denoise.context import MAX_STEP, independent_step, interpolated_step, neighbours
from medidiff.denoise.texture import noise_source, residual_spectrum
from medidiff.denoise.tiles import pad_to_stride, run_tiled, tiles
from medidiff.noise.spectrum import Kernel, filter_image, noise_power_spectrum, radial_frequency

PIXEL_MM = 0.7


def slices(weights: list[float], count: int = 6) -> np.ndarray:
    """Soft tissue, white noise mixed from neighbouring raw slices, as overlapping reconstructions are."""
    rng = np.random.default_rng(0)
    raw = 60 * rng.standard_normal((count + len(weights), 96, 96))
    noise = sum(w * raw[i : i + count] for i, w in enumerate(weights))
    return (40 + np.asarray(noise)).astype(np.float32)


@pytest.mark.parametrize(
    ("weights", "step"),
    [([1.0], 1), ([0.5, 0.5], 2), ([0.9, 0.25], 1), ([0.4, 0.4, 0.4, 0.4], 3), ([0.2] * 12, MAX_STEP)],
    ids=["independent", "half overlap", "helical", "three quarters overlap", "everything shared"],
)
def test_step_is_the_distance_at_which_noise_is_new(weights: list[float], step: int) -> None:
    assert independent_step(slices(weights)) == step


def test_anatomy_does_not_pass_for_shared_noise() -> None:
    """The same organs in every slice, each with its own noise."""
    stack = slices([1.0])
    stack[:, 30:60, 40:70] += 80
    stack[:, 60:64] -= 120
    assert independent_step(stack) == 1


def test_padding_and_too_little_tissue() -> None:
    shared = slices([0.5, 0.5])
    assert independent_step(shared[:2]) == 1
    assert independent_step(np.full((5, 64, 64), -1000, np.float32)) == 1
    padded = shared.copy()
    mask = np.zeros(shared.shape, bool)
    mask[:, :, :40] = True
    padded[mask] = np.nan
    assert independent_step(padded, lambda k: mask[k]) == 2


def mr_slices(noise: float, seed: int = 0) -> np.ndarray:
    """Complex slices of one head, each with its own noise: the same anatomy in all."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    head = 100.0 * (np.hypot(y, x) < 0.8) + 60.0 * (np.hypot(y - 0.2, 2 * x) < 0.3)
    return np.asarray(head + noise * (rng.standard_normal((2, 10, 128, 128)) * [[[[1]]], [[[1j]]]]).sum(0))


def test_interpolated_mr_slices_share_noise() -> None:
    acquired = mr_slices(5.0)
    spectrum = np.fft.fftshift(np.fft.fft(acquired, axis=0), axes=0)
    filled = np.fft.ifft(np.fft.ifftshift(np.pad(spectrum, ((5, 5), (0, 0), (0, 0))), axes=0), axis=0)
    own, zero_filled = np.abs(acquired).astype(np.float32), 2 * np.abs(filled).astype(np.float32)
    np.testing.assert_allclose(zero_filled[::2], own, rtol=1e-4)
    linear = np.stack([(own[k // 2] + own[(k + 1) // 2]) / 2 for k in range(19)])
    assert interpolated_step(own) == 1
    assert interpolated_step(zero_filled) == 2
    assert interpolated_step(linear) == 2
    assert interpolated_step(np.repeat(own, 2, axis=0)) == 2
    assert interpolated_step(zero_filled[:2]) == interpolated_step(np.zeros((4, 64, 64), np.float32)) == 1


def test_time_points_of_one_slice_are_no_interpolated_slices() -> None:
    """They show the same anatomy, but none is context of another."""
    times = np.repeat(np.abs(mr_slices(5.0)[:2]).astype(np.float32), 4, axis=0)
    assert interpolated_step(times) > 1
    assert interpolated_step(times, adjacent=np.array([True] * 3 + [False] + [True] * 3)) > 1
    assert interpolated_step(times, adjacent=np.zeros(7, bool)) == 1


def test_fine_anatomy_does_not_pass_for_interpolation(shared_data: Path) -> None:
    """A 3D scan of 1 mm with little noise: neighbours are much alike along all axes."""
    path = shared_data / "mr" / "val" / "uih" / "uih1_T1.nii.gz"
    scan = np.asarray(nibabel.load(path).dataobj, np.float32)[20:-20, 40:-40, 20:-20]
    for axes in ((2, 1, 0), (0, 1, 2), (1, 0, 2)):
        assert interpolated_step(scan.transpose(axes)) == 1


def test_neighbours_do_not_reach_across_gaps() -> None:
    assert neighbours(2, 1, 5, None) == (1, 3)
    assert neighbours(0, 1, 5, None) == (None, 1)
    assert neighbours(2, 2, 5, None) == (0, 4)
    assert neighbours(4, 2, 5, None) == (2, None)
    gap = np.array([True, True, False, True])
    assert neighbours(2, 1, 5, gap) == (1, None)
    assert neighbours(3, 1, 5, gap) == (None, 4)
    assert neighbours(2, 2, 5, gap) == (0, None)
    assert neighbours(1, 2, 5, gap) == (None, None)
    assert neighbours(0, 1, 1, np.zeros(0, bool)) == (None, None)


@pytest.mark.parametrize(
    ("h", "w", "size", "halo", "stride"), [(64, 96, 32, 8, 8), (72, 40, 50, 16, 8), (8, 8, 64, 24, 8)]
)
def test_tiles_cover_every_pixel_once(h: int, w: int, size: int, halo: int, stride: int) -> None:
    times = np.zeros((h, w), int)
    picture = np.arange(h * w).reshape(h, w)
    for tile in tiles(h, w, size, halo, stride):
        times[tile.write] += 1
        part = picture[tile.read]
        np.testing.assert_array_equal(part[tile.keep], picture[tile.write])
        assert all(n % stride == 0 for n in part.shape)
        assert max(part.shape) <= size + 2 * halo
    assert (times == 1).all()


def test_stride_padding_mirrors() -> None:
    planes = np.arange(2 * 5 * 6, dtype=np.float32).reshape(2, 5, 6)
    padded = pad_to_stride(planes, 4)
    assert padded.shape == (2, 8, 8)
    np.testing.assert_array_equal(padded[:, :5, :6], planes)
    np.testing.assert_array_equal(padded[:, 5, :6], planes[:, 3])
    assert pad_to_stride(padded, 4) is padded
    assert pad_to_stride(planes[:, :2, :2], 8).shape == (2, 8, 8)  # too small to mirror


@pytest.mark.parametrize("shape", [(37, 53), (16, 90), (5, 7)])
def test_a_local_operation_in_tiles_is_the_operation(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    planes = rng.standard_normal((3, *shape), dtype=np.float32)

    def network(p: np.ndarray) -> np.ndarray:
        assert p.shape[0] == 1
        assert p.shape[2] % 4 == p.shape[3] % 4 == 0
        blurred = ndimage.uniform_filter(p, (0, 0, 7, 7), mode="constant")
        return np.stack([blurred[:, 0] * blurred[:, 1], blurred[:, 2]], 1)

    whole = run_tiled(network, planes, 1024, 4, 4)
    assert whole.shape == (2, *shape)
    np.testing.assert_allclose(run_tiled(network, planes, 16, 4, 4), whole, atol=1e-6)
    # With too small a halo the seams show: the test can fail.
    if min(shape) > 8:
        assert np.abs(run_tiled(network, planes, 16, 0, 4) - whole).max() > 1e-3


def coloured(kernel: Kernel, count: int, seed: int = 0, size: int = 192) -> list[np.ndarray]:
    f = radial_frequency((size, size), PIXEL_MM)
    rng = np.random.default_rng(seed)
    response = np.sqrt(f) * kernel.response(f)
    return [filter_image(rng.standard_normal((size, size), dtype=np.float32), response) for _ in range(count)]


@pytest.mark.parametrize("kernel", [Kernel(), Kernel(9.0, 6.0, 0.02)], ids=["soft", "sharp"])
def test_spectrum_of_the_removed_noise_is_that_of_the_noise(kernel: Kernel) -> None:
    noise = coloured(kernel, 5)
    found = residual_spectrum(noise, [np.ones(n.shape, bool) for n in noise], PIXEL_MM, "ct")
    f = np.linspace(0.3, 6.0, 30).astype(np.float32)
    expected = f * kernel.response(f) ** 2
    ratio = found(f) / expected
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, atol=0.25)


def test_low_frequencies_are_continued_not_measured() -> None:
    """What y - D holds below 1 lp/cm is anatomy as much as noise; CT noise falls to 0 there as f."""
    rng = np.random.default_rng(5)
    noise = coloured(Kernel(), 4)
    noise = [n + 36 * ndimage.gaussian_filter(rng.standard_normal(n.shape), 12) for n in noise]
    found = residual_spectrum(noise, [np.ones(n.shape, bool) for n in noise], PIXEL_MM, "ct")
    at = found(np.array([0.0, 0.5, 1.0], np.float32))
    assert at[0] == 0
    assert at[1] == pytest.approx(at[2] / 2, rel=0.15)
    assert found.power.max() < 3 * at[2]


def test_only_tissue_counts() -> None:
    rng = np.random.default_rng(6)
    noise = coloured(Kernel(), 4)
    masks = []
    for n in noise:
        n[:, 96:] = 50 * rng.standard_normal((192, 96))
        mask = np.zeros(n.shape, bool)
        mask[:, :96] = True
        masks.append(mask)
    found = residual_spectrum(noise, masks, PIXEL_MM, "ct")
    alone = residual_spectrum(coloured(Kernel(), 4), [np.ones((192, 192), bool)] * 4, PIXEL_MM, "ct")
    assert found.mean_frequency == pytest.approx(alone.mean_frequency, rel=0.05)


@pytest.mark.parametrize("modality", ["ct", "mr"])
def test_without_tissue_a_typical_texture_stands_in(modality: str) -> None:
    found = residual_spectrum([np.ones((20, 20), np.float32)], [np.ones((20, 20), bool)], PIXEL_MM, modality)
    f = np.array([1.0, 3.0, 6.0], np.float32)
    expected = f * Kernel().response(f) ** 2 if modality == "ct" else np.ones(3)
    np.testing.assert_allclose(found(f) / found(f)[0], expected / expected[0], rtol=0.02)


def test_noise_source_draws_unit_noise_of_the_spectrum() -> None:
    noise = coloured(Kernel(), 5)
    spectrum = residual_spectrum(noise, [np.ones(n.shape, bool) for n in noise], PIXEL_MM, "ct")
    draw = noise_source(spectrum, (160, 200), PIXEL_MM)
    drawn = [draw(np.random.default_rng(s)) for s in range(6)]
    assert np.sqrt(np.mean(np.square(drawn))) == pytest.approx(1.0, rel=0.01)
    from medidiff.noise.spectrum import hann_patches

    again = noise_power_spectrum(np.concatenate([hann_patches(n, None, 64) for n in drawn]), PIXEL_MM, 24)
    band = (again.f > 0.8) & (again.f < 5.5)
    ratio = again.power[band] / spectrum(again.f[band])
    np.testing.assert_allclose(ratio / ratio.mean(), 1.0, atol=0.15)
    np.testing.assert_array_equal(drawn[0], draw(np.random.default_rng(0)))
    with pytest.raises(ValueError, match="generator"):
        draw(None)


def test_slices_without_any_noise_are_no_riddle() -> None:
    assert independent_step(np.full((5, 96, 96), 40.0, np.float32)) == 1
