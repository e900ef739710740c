"""Planes: volumes of cubic voxels are looked at in all three planes, and the answers joined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import Averaging, PixelWiener, bundle

from medidiff import scratch
from medidiff.denoise import Denoiser, Roi, Settings
from medidiff.denoise.planes import Planes, has_planes
from medidiff.volume import Volume

SHAPE = (64, 66, 70)


def cube(shape: tuple[int, int, int] = SHAPE, sides: tuple[float, float, float] = (1.0, 1.1, 0.95)) -> Volume:
    """A bright ellipsoid with noise; `sides` along z, y, x."""
    rng = np.random.default_rng(1)
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    clean = 900.0 * (z * z + y * y + x * x < 0.8) + 60.0 * np.sin(9 * x)
    noisy = np.hypot(clean + 40 * rng.standard_normal(shape), 40 * rng.standard_normal(shape))
    affine = np.diag([sides[2], sides[1], sides[0], 1.0])
    return Volume(noisy.astype(np.float32), affine, "MR", "a.u.")


def turned(volume: Volume, axes: tuple[int, int, int]) -> Volume:
    """The volume along other axes, geometry by hand."""
    sides = [volume.spacing[a] for a in axes]
    affine = np.diag([sides[2], sides[1], sides[0], 1.0])
    return replace(volume, array=np.ascontiguousarray(volume.array.transpose(axes)), affine=affine)


def test_the_answer_is_the_mean_of_three_runs_along_the_axes() -> None:
    """A second implementation: three volumes, three runs in one plane each."""
    volume, settings = cube(), Settings(sigma=40.0, tier="fast")
    parts = []
    for axes in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        found = Denoiser(bundle("mr"), Averaging()).run(turned(volume, axes), settings).volume.array
        parts.append(found.transpose(np.argsort(axes)))
    result = Denoiser(bundle("mr"), Averaging()).run(volume, Settings(sigma=40.0))
    assert result.planes == 3
    # Each run holds the answer to the range of values of its own slices, which few voxels reach.
    close = np.isclose(result.volume.array, np.mean(parts, axis=0), rtol=1e-4, atol=0.02)
    assert close.mean() > 0.999
    assert np.abs(parts[0] - parts[1]).max() > 1.0


def test_errors_cancel_and_the_variance_says_how_much() -> None:
    """Answers of independent errors: their mean has a third of the variance, and is told so."""
    rng = np.random.default_rng(2)
    truth = rng.standard_normal((1, 200, 200)).astype(np.float32)
    for shared, left in ((0.0, 1 / 3), (0.6, 0.6 + 0.4 / 3), (1.0, 1.0)):
        common = np.sqrt(shared) * rng.standard_normal(truth.shape)
        one, two, three = (
            (truth + common + np.sqrt(1 - shared) * rng.standard_normal(truth.shape)).astype(np.float32)
            for _ in range(3)
        )
        planes = Planes([two, three], np.full(truth.shape, 2.0, np.float32))
        mean, variance = planes.joined(0, one[0], np.ones(truth.shape[1:], np.float32))
        assert variance is not None
        assert np.mean((mean - truth[0]) ** 2) == pytest.approx(left, rel=0.03)
        assert variance.mean() == pytest.approx(left, rel=0.2)
        assert variance.min() >= 1 / 3 - 1e-6


@pytest.mark.parametrize(
    ("shape", "sides", "expected"),
    [
        ((64, 70, 66), (1.0, 1.0, 1.0), True),
        ((64, 70, 66), (1.2, 1.0, 1.0), True),
        ((64, 70, 66), (3.0, 1.0, 1.0), False),
        ((40, 70, 66), (1.0, 1.0, 1.0), False),
    ],
)
def test_only_cubic_voxels_and_enough_of_them(
    shape: tuple[int, int, int], sides: tuple[float, float, float], expected: bool
) -> None:
    assert has_planes(cube(shape, sides)) is expected


def test_a_gap_rules_the_other_planes_out() -> None:
    volume = cube()
    adjacent = np.ones(len(volume.array) - 1, bool)
    assert has_planes(replace(volume, adjacent=adjacent))
    adjacent[7] = False
    assert not has_planes(replace(volume, adjacent=adjacent))


def test_ct_and_tier_fast_look_once() -> None:
    volume = cube()
    for run, tier in ((bundle(), "standard"), (bundle("mr"), "fast")):
        engine = PixelWiener()
        modality = "CT" if run.modality == "ct" else "MR"
        Denoiser(run, engine).run(replace(volume, modality=modality), Settings(sigma=40.0, tier=tier))
        assert len(engine.calls) == len(volume.array)


@pytest.mark.parametrize("mode", ["mean", "natural"])
def test_a_region_is_that_of_the_whole(mode: str) -> None:
    volume = cube()
    roi: Roi = ((10, 14), (20, 50), (5, 40))
    box = tuple(slice(*b) for b in roi)
    whole = Denoiser(bundle("mr"), Averaging()).run(volume, Settings(mode=mode, sigma=40.0, uncertainty=True))
    some = Denoiser(bundle("mr"), Averaging()).run(
        volume, Settings(mode=mode, sigma=40.0, uncertainty=True, roi=roi)
    )
    np.testing.assert_array_equal(some.volume.array[box], whole.volume.array[box])
    assert some.uncertainty is not None
    assert whole.uncertainty is not None
    np.testing.assert_array_equal(some.uncertainty[box], whole.uncertainty[box])


def test_arrays_in_files_change_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, settings = cube(), Settings(sigma=40.0, uncertainty=True)
    plain = Denoiser(bundle("mr"), Averaging()).run(volume, settings)
    monkeypatch.setattr(scratch, "LARGE", 1)
    large = Denoiser(bundle("mr"), Averaging()).run(volume, settings)
    np.testing.assert_array_equal(large.volume.array, plain.volume.array)
    np.testing.assert_array_equal(large.uncertainty, plain.uncertainty)


def test_the_later_steps_look_at_the_slice_alone() -> None:
    engine = PixelWiener()
    Denoiser(bundle("mr"), engine).run(cube(), Settings(mode="natural", sigma=40.0))
    assert len(engine.calls) == 2 * SHAPE[0] + SHAPE[1] + SHAPE[2]


def test_the_noise_map_is_turned_with_the_scan() -> None:
    volume = cube()
    ramp = np.broadcast_to(np.linspace(20.0, 60.0, SHAPE[1])[None, :, None], SHAPE).astype(np.float32)
    engine = PixelWiener()
    Denoiser(bundle("mr"), engine).run(volume, Settings(sigma=ramp))
    # Slices of the second plane lie across the ramp: their map is flat, and their levels are those of it.
    other = [planes for planes, _ in engine.calls if planes.shape[2:] == (SHAPE[0], SHAPE[2])]
    assert len(other) == SHAPE[1]
    assert max(np.ptp(planes[0, 3]) for planes in other) < 1e-5


def test_progress_counts_every_slice_of_every_plane() -> None:
    seen: list[tuple[int, int]] = []
    Denoiser(bundle("mr"), PixelWiener()).run(
        cube(), Settings(sigma=40.0), progress=lambda *a: seen.append(a)
    )
    assert seen == [(n + 1, sum(SHAPE)) for n in range(sum(SHAPE))]
