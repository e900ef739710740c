"""CT samples: exact noise levels, and targets whose own noise does not mislead the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from ct_items import PIXEL_MM, body, coloured, fill_cache, item
from scipy import fft
from toy import toy_config

from medidiff.errors import MedidiffError, NoImageError
from medidiff.intensity import Intensity
from medidiff.noise.spectrum import Kernel, radial_frequency
from medidiff.training import ct_reference, ct_source
from medidiff.training.ct_reference import OWN_GRID, Reference
from medidiff.training.ct_source import CTSource
from medidiff.training.loader import batches

SHAPE = (80, 96)
F = radial_frequency(SHAPE, PIXEL_MM)
TEXTURE_LP_CM = np.sqrt(F) * Kernel().response(F)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CTSource:
    config = toy_config(tmp_path_factory.mktemp("run"))
    config = replace(config, data=replace(config.data, cache=str(tmp_path_factory.mktemp("cache"))))
    fill_cache(config)
    return CTSource(config)


def reference(hu: np.ndarray, sigma: float, own: Kernel, rng: np.random.Generator) -> Reference:
    everywhere = np.ones(hu.shape[-2:], bool)
    return Reference(
        item(hu, rng), sigma, own.response(OWN_GRID), everywhere, everywhere.astype(np.float32), everywhere
    )


@dataclass
class Draw:
    """Transforms of truth, input and target of one simulated slice, HU, and what it claims."""

    x: np.ndarray
    y: np.ndarray
    target: np.ndarray
    reference: np.ndarray
    excess: float


def simulate(source: CTSource, t: float, sigma_f: float, own: Kernel, count: int, seed: int) -> list[Draw]:
    """Slices whose truth is a Gaussian field and whose reference carries noise of the kernel `own`."""
    rng = np.random.default_rng(seed)
    scale, offset = Intensity.ct().scale, Intensity.ct().offset
    amplitude = np.sqrt(F) * own.response(F)
    tissue = (F + 0.15) ** -1.6
    drawn = []
    for _ in range(count):
        x = 40 + 60 * coloured(tissue, SHAPE, rng)
        x_f = x + sigma_f * coloured(amplitude, SHAPE, rng)
        s = source.simulate(reference(x_f, sigma_f, own, rng), t, sigma_f, rng)
        assert s.sigma == pytest.approx(t / scale)
        y, target = (a * scale + offset for a in (s.state, s.target))
        transforms = [fft.rfft2(a - 40) for a in (x, y, target, x_f)]
        drawn.append(Draw(*transforms, float(s.excess.mean()) * scale**2))
    return drawn


def coefficient(drawn: list[Draw], name: str, band: np.ndarray) -> float:
    """Of the linear regression on y of an image, over a band of frequencies."""
    up = sum(float((getattr(d, name)[band] * d.y[band].conj()).real.sum()) for d in drawn)
    return up / sum(float((np.abs(d.y[band]) ** 2).sum()) for d in drawn)


BANDS = [(F >= low) & (F < high) for low, high in ((0.4, 1.5), (1.5, 3.0), (3.0, 4.5))]


@pytest.mark.parametrize(
    ("t", "sigma_f", "own"),
    [(40.0, 15.0, Kernel()), (26.0, 18.0, Kernel()), (50.0, 20.0, Kernel(7.5, 5.0, 0.01))],
    ids=["a=.14", "a=.48", "sharp reference"],
)
def test_corrected_target_has_the_regression_of_the_truth(
    source: CTSource, t: float, sigma_f: float, own: Kernel
) -> None:
    """E[x* | y] = E[x | y] per frequency, whatever kernel was drawn; the raw reference would mislead."""
    drawn = simulate(source, t, sigma_f, own, 90, seed=5)
    assert np.mean([np.abs(d.y - d.x).std() for d in drawn]) > 0
    misled = 0.0
    for band in BANDS:
        wanted = coefficient(drawn, "x", band)
        assert coefficient(drawn, "target", band) == pytest.approx(wanted, abs=0.012)
        misled = max(misled, coefficient(drawn, "reference", band) - wanted)
    assert misled > 0.05


@pytest.mark.parametrize(("t", "sigma_f"), [(40.0, 15.0), (26.0, 18.0), (30.0, 0.0)])
def test_noise_levels_are_as_declared(
    source: CTSource, monkeypatch: pytest.MonkeyPatch, t: float, sigma_f: float
) -> None:
    """SD of y - x is t; variance of x* - x is the excess, sigma_F^2 / (1 - a) for equal kernels."""
    monkeypatch.setattr(ct_source, "OWN_KERNEL", 1.0)
    drawn = simulate(source, t, sigma_f, Kernel(), 40, seed=6)
    size = SHAPE[0] * SHAPE[1]
    images = [[fft.irfft2(a, s=SHAPE) for a in (d.x, d.y, d.target)] for d in drawn]
    assert np.sqrt(np.mean([(y - x) ** 2 for x, y, _ in images])) == pytest.approx(t, rel=0.015)
    measured = np.mean([(target - x) ** 2 for x, _, target in images])
    claimed = np.mean([d.excess for d in drawn])
    a = (sigma_f / t) ** 2
    assert claimed == pytest.approx(sigma_f**2 / (1 - a), rel=0.05)
    assert measured == pytest.approx(claimed, rel=0.03, abs=0.1)  # 0.1: int16 storage, 1/12 HU^2
    cross = np.mean([((target - x) * (y - x)).sum() / size for x, y, target in images])
    assert abs(cross) < 0.03 * max(sigma_f, 1.0) * t


def test_excess_follows_the_kernel_that_was_drawn(source: CTSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ct_source, "OWN_KERNEL", 0.0)
    drawn = simulate(source, 40.0, 15.0, Kernel(), 40, seed=7)
    images = [[fft.irfft2(a, s=SHAPE) for a in (d.x, d.target)] for d in drawn]
    measured = [float(np.mean((target - x) ** 2)) for x, target in images]
    assert np.mean(measured) == pytest.approx(np.mean([d.excess for d in drawn]), rel=0.03)
    assert np.std([d.excess for d in drawn]) > 1.0


def test_neighbours_carry_their_own_noise(source: CTSource) -> None:
    rng = np.random.default_rng(8)
    flat = np.full(SHAPE, 40.0)
    ratios, correlations = [], []
    for _ in range(40):
        s = source.simulate(reference(flat, 0.0, Kernel(), rng), 30.0, 0.0, rng)
        assert s.previous is not None
        assert s.following is not None
        noises = [(a - (40 + 500) / 500) for a in (s.state, s.previous, s.following)]
        assert noises[0].std() == pytest.approx(s.sigma, rel=0.05)
        for n in noises[1:]:
            assert n.std() == pytest.approx(s.neighbour_sigma, rel=0.08)
        correlations.append(np.corrcoef([n.ravel() for n in noises])[[0, 0, 1], [1, 2, 2]])
        ratios.append(s.neighbour_sigma / s.sigma)
    assert np.abs(np.mean(correlations, axis=0)).max() < 0.02
    louder = np.array(ratios) > 1.001
    assert 0.1 < louder.mean() < 0.55
    assert np.all(np.array(ratios) >= 1.0)
    assert max(ratios) <= 10.0


def test_absent_neighbours_stay_absent(source: CTSource) -> None:
    rng = np.random.default_rng(8)
    alone = item(np.full(SHAPE, 40.0), rng, present=False)
    ref = replace(reference(np.full(SHAPE, 40.0), 0.0, Kernel(), rng), item=alone)
    s = source.simulate(ref, 30.0, 0.0, rng)
    assert s.previous is None
    assert s.following is None


def test_local_sd_scales_the_excess(source: CTSource) -> None:
    rng = np.random.default_rng(9)
    ref = reference(np.full(SHAPE, 40.0), 15.0, Kernel(), rng)
    relative = np.broadcast_to(np.linspace(0.5, 2.0, SHAPE[1]), SHAPE).astype(np.float16)
    s = source.simulate(replace(ref, item=replace(ref.item, relative_sd=relative)), 40.0, 15.0, rng)
    expected = (relative / relative[0, 0]).astype(float) ** 2
    np.testing.assert_allclose(s.excess / s.excess[0, 0], expected, rtol=1e-2)
    np.testing.assert_array_equal(s.relative_sd, relative.astype(np.float32))


def test_texture_is_the_mean_frequency_of_the_noise(
    source: CTSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ct_source, "OWN_KERNEL", 1.0)
    rng = np.random.default_rng(9)
    s = source.simulate(reference(np.full(SHAPE, 40.0), 15.0, Kernel(), rng), 40.0, 15.0, rng)
    # sum S f / sum S over the square plane of frequencies, S = f A(f)^2; in polar form sum S f^2 / sum S f.
    axis = np.linspace(-5 / PIXEL_MM, 5 / PIXEL_MM, 501)
    f = np.hypot(axis[:, None], axis[None, :])
    power = f / (1 + (f / 4.36) ** 3.85) ** 2
    assert s.texture == pytest.approx((power * f).sum() / power.sum(), rel=0.02)


def test_draws_stay_within_the_configured_levels(source: CTSource) -> None:
    data = source.config.data
    rng = np.random.default_rng(10)
    drawn = [source.draw(rng) for _ in range(300)]
    levels = np.array([s.sigma for s in drawn]) * 500
    assert data.low_sigma <= levels.min()
    assert levels.max() <= data.sigma[1]
    # Low levels: nearly all of `low_share` of the draws lies below twice the lowest regular level.
    below = (levels < data.sigma[0]).mean()
    assert 0.5 * data.low_share < below < 1.3 * data.low_share
    # Regular levels are uniform in ln sigma.
    regular = np.log(levels[levels > 2 * data.sigma[0]])
    assert np.median(regular) == pytest.approx(np.log(np.sqrt(16 * 250)), abs=0.2)
    again = np.random.default_rng(10)
    assert np.array_equal(drawn[0].state, source.draw(again).state)


def test_a_target_noisier_than_the_level_is_not_used(source: CTSource) -> None:
    """Below 1.41 sigma_F no correction exists: such levels come from the clean pool, without excess."""
    rng = np.random.default_rng(11)
    noisy = max(r.sigma for r in source.references)
    for _ in range(300):
        s = source.draw(rng)
        if s.sigma * 500 < 1.41 * min(r.sigma for r in source.clean):
            assert not s.excess.any()
        assert s.excess.max() <= 3.1 * (noisy / 500) ** 2


def test_share_of_cleaner_targets(source: CTSource, tmp_path: Path) -> None:
    """As many of the regular levels as asked for have a target of the clean pool; validation has none."""
    config = replace(source.config, data=replace(source.config.data, low_share=0.0, clean_share=0.4))
    assert source.config.data.clean_share == 0.0
    clean = {1000 * r.sigma for r in source.clean}
    assert clean.isdisjoint(1000 * r.sigma for r in source.references)

    def share(of: CTSource) -> float:
        rng = np.random.default_rng(12)
        drawn = [of.draw(rng) for _ in range(300)]
        own = [500 * d.reference_sigma for d in drawn if d.sigma * 500 > 40.0]  # there no target is too noisy
        return float(np.mean([any(abs(o - c / 1000) < 1e-3 for c in clean) for o in own]))

    assert share(CTSource(config)) == pytest.approx(0.4, abs=0.1)
    config = replace(config, data=replace(config.data, cache=str(tmp_path)))
    fill_cache(config, "val")
    assert share(CTSource(config, "val")) == 0.0


def test_slices_that_a_run_of_smaller_patches_left_are_not_used(tmp_path: Path) -> None:
    """The cache does not depend on the size of the patches."""
    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache"), patch=64))
    folder = fill_cache(config)
    rng = np.random.default_rng(2)
    for clean in (False, True):
        small = item(body((60, 90)), rng, clean=clean)
        np.savez(folder / f"small_{clean}.npz", **vars(small))
    source = CTSource(config)
    sizes = {r.item.hu.shape[1:] for r in (*source.references, *source.clean)}
    assert sizes == {(96, 112)}


def test_levels_and_kernels_of_the_cache_are_measured(source: CTSource) -> None:
    """The cache holds slices of 12 HU with the soft kernel; its clean slice counts as 0.4 of that."""
    assert [r.sigma for r in source.references] == pytest.approx([12.0] * 3, rel=0.2)
    assert source.clean[0].sigma == pytest.approx(ct_reference.BINNED * 12.0, rel=0.2)
    kernel = ct_reference.measured_kernels([r.item for r in source.references])["toy"]
    f = np.array([2.5, 3.5, 4.5, 5.5], np.float32)
    found, true = np.interp(f, OWN_GRID, kernel), Kernel().response(f)
    np.testing.assert_allclose(found / found[0], true / true[0], atol=0.08)
    assert np.interp(1.0, OWN_GRID, kernel) == 1.0


def test_background_process_gives_the_same_batches(source: CTSource) -> None:
    config = source.config
    here = list(islice(batches(config, 1, source), 3))
    stream = batches(config, 1)
    try:
        there = list(islice(stream, 3))
    finally:
        stream.close()  # type: ignore[attr-defined]
    for a, b in zip(here, there, strict=True):
        for one, other in zip(a.arrays(), b.arrays(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_failure_in_the_background_is_told(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "nothing")))
    with pytest.raises(MedidiffError, match="noise cache holds no slice"):
        next(batches(config, 0))
    with pytest.raises(NoImageError):
        CTSource(config)


def test_weights_favour_soft_tissue(source: CTSource) -> None:
    made = ct_reference.reference_of(source.references[0].item, 12.0, Kernel().response(OWN_GRID), 2.0)
    hu = body((96, 112))
    assert set(np.unique(made.weight)) == {1.0, 2.0}
    assert (made.weight[(hu > 30) & (hu < 50)] == 2.0).mean() > 0.95
    assert not made.worth[:4, :4].any()


def test_a_series_of_one_slice_keeps_its_noise_level() -> None:
    rng = np.random.default_rng(6)
    shape = (128, 128)
    f = radial_frequency(shape, PIXEL_MM)
    noise = 12.0 * coloured(np.sqrt(f) * Kernel().response(f), shape, rng)
    levels = ct_reference.measured_levels([item(body(shape) + noise, rng)])
    assert levels["toy", False][0] == pytest.approx(12.0, rel=0.3)
