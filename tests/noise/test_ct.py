"""CT noise insertion against physics: dose laws, Poisson limit, kernels, bow-tie."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import ndimage

from medidiff.errors import UsageError
from medidiff.noise import ct, projector
from medidiff.noise.ct import Scanner
from medidiff.noise.spectrum import Kernel, Spectrum, hann_patches, noise_power_spectrum

SIZE, PIXEL_MM, VIEWS = 160, 0.7, 180
RAMP = Kernel(f50=np.inf)
"""The plain ramp."""


def cylinder(shape: tuple[int, int], radius: float, hu: float = 0.0) -> np.ndarray:
    """A round water phantom in air, HU, slightly soft at the rim."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    r = np.hypot(y[:, None], x[None, :])
    return (-1000 + (1000 + hu) * np.clip(radius + 0.5 - r, 0, 1)).astype(np.float32)


WATER = cylinder((SIZE, SIZE), 72.0)
CENTRE = cylinder((SIZE, SIZE), 55.0) > -1.0


@pytest.fixture(scope="module")
def water() -> ct.NoiseBases:
    return ct.bases(WATER, PIXEL_MM, np.random.default_rng(11), realisations=2, views=VIEWS)


def sd(noise: np.ndarray) -> float:
    return float(noise[CENTRE].std())


def starved(
    hu: np.ndarray, pixel_mm: float, dose: float, scanner: Scanner, rng: np.random.Generator
) -> np.ndarray:
    """One exact acquisition at a fraction of the dose."""
    return hu + ct.acquire(hu, pixel_mm, (dose * scanner.photons,), scanner, rng)[0, 0]


@pytest.mark.parametrize("dose", [0.05, 0.1, 0.5, 0.9])
def test_inserted_variance_goes_as_one_minus_a_over_a(water: ct.NoiseBases, dose: float) -> None:
    """Quantum noise alone: what is missing between full dose, variance ~ 1, and dose a, variance ~ 1/a."""
    scanner = Scanner(electronic=0.0, kernel=RAMP)
    quarter, other = ct.combine(water, 0.25, scanner), ct.combine(water, dose, scanner)
    law = ((1 - dose) / dose) / (0.75 / 0.25)
    np.testing.assert_allclose(other, np.sqrt(law) * quarter, rtol=2e-3, atol=1e-4 * sd(quarter))


def test_inserted_variance_goes_as_one_over_photons(water: ct.NoiseBases) -> None:
    few = ct.combine(water, 0.25, Scanner(photons=5e4, electronic=0.0))
    many = ct.combine(water, 0.25, Scanner(photons=2e5, electronic=0.0))
    assert sd(few) / sd(many) == pytest.approx(2.0, rel=1e-4)


def test_total_variance_goes_as_one_over_dose() -> None:
    """Counting statistics, no formula of insertion in the way: a quarter of the photons, twice the SD."""
    scanner = Scanner(photons=4e5, electronic=0.0, views=90)
    rng = np.random.default_rng(3)
    levels = {
        dose: np.sqrt(
            np.mean([sd(starved(WATER, PIXEL_MM, dose, scanner, rng) - WATER) ** 2 for _ in range(3)])
        )
        for dose in (1.0, 0.25, 0.1)
    }
    assert levels[0.25] / levels[1.0] == pytest.approx(2.0, rel=0.04)
    assert levels[0.1] / levels[1.0] == pytest.approx(np.sqrt(10), rel=0.04)


def test_full_dose_scan_plus_insertion_is_a_low_dose_scan() -> None:
    """Poisson limit: variance at dose a = variance at full dose + inserted variance, electronics included."""
    scanner = Scanner(photons=1e5, electronic=30.0, views=90)
    dose, rng = 0.2, np.random.default_rng(4)
    full = [sd(starved(WATER, PIXEL_MM, 1.0, scanner, rng) - WATER) for _ in range(3)]
    low = [sd(starved(WATER, PIXEL_MM, dose, scanner, rng) - WATER) for _ in range(3)]
    bases = [ct.bases(WATER, PIXEL_MM, rng, views=90) for _ in range(3)]
    inserted = [sd(ct.combine(b, dose, scanner)) for b in bases]
    total = np.mean(np.square(full)) + np.mean(np.square(inserted))
    assert np.sqrt(total / np.mean(np.square(low))) == pytest.approx(1.0, rel=0.03)
    assert np.mean(full) < 0.6 * np.mean(low)


def test_two_bases_equal_yu_formula_drawn_ray_by_ray() -> None:
    """Second implementation: noise of Yu et al. 2012, eq. 10, drawn on every ray, then back-projected."""
    # A large patient and few photons, so that electronic noise counts: e^p Ne / I0 is near 1 in the middle.
    hu, pixel_mm, dose = cylinder((96, 96), 44.0), 3.0, 0.2
    scanner = Scanner(photons=3e4, electronic=40.0, kernel=RAMP)
    mu = np.maximum(0, (hu + 1000) / 1000) * np.float32(ct.MU_WATER)
    p = projector.forward(mu, VIEWS) * pixel_mm
    spread = np.exp(p) / scanner.photons
    variance = (1 - dose) / dose * spread * (1 + (1 + dose) / dose * scanner.electronic * spread)
    assert (dose + 1) / dose * scanner.electronic * spread.max() > 0.5
    rng = np.random.default_rng(6)
    to_hu = 1000 / (ct.MU_WATER * pixel_mm)
    direct, ours = [], []
    for _ in range(12):
        rays = (np.sqrt(variance) * rng.standard_normal(p.shape)).astype(np.float32)
        direct.append(projector.back_project(rays, 96) * to_hu)
        ours.append(ct.combine(ct.bases(hu, pixel_mm, rng, views=VIEWS), dose, scanner))
    maps = [ndimage.gaussian_filter(np.mean(np.square(n), axis=0), 3) for n in (direct, ours)]
    body = hu > -1
    ratio = np.sqrt(maps[1] / maps[0])[body]
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    assert np.abs(ratio - 1).max() < 0.2
    # The map is anything but flat, so the agreement says something.
    assert maps[0][48, 48] > 2 * maps[0][48, 8]


def test_share_of_electronic_noise_grows_as_dose_falls(water: ct.NoiseBases) -> None:
    scanner = Scanner(photons=1e5, electronic=50.0)

    def odds(dose: float) -> float:
        """Electronic over quantum variance."""
        both, quantum = (ct.combine(water, dose, x) for x in (scanner, replace(scanner, electronic=0.0)))
        return (sd(both - quantum) / sd(quantum)) ** 2

    assert 0 < odds(0.5) < odds(0.2) < odds(0.05)
    # Variances Ne (1-a^2)/(a I0)^2 and (1-a)/(a I0): their ratio goes as (1+a)/a.
    assert odds(0.05) / odds(0.5) == pytest.approx((1.05 / 0.05) / (1.5 / 0.5), rel=1e-2)


def spectrum_of(images: list[np.ndarray], pixel_mm: float = PIXEL_MM) -> Spectrum:
    return noise_power_spectrum(np.concatenate([hann_patches(n, CENTRE, 32) for n in images]), pixel_mm, 16)


@pytest.fixture(scope="module")
def many(water: ct.NoiseBases) -> list[ct.NoiseBases]:
    rng = np.random.default_rng(12)
    return [water, *(ct.bases(WATER, PIXEL_MM, rng, realisations=2, views=VIEWS) for _ in range(2))]


def draws(many: list[ct.NoiseBases], kernel: Kernel) -> list[np.ndarray]:
    scanner = Scanner(electronic=0.0, kernel=kernel)
    return [ct.combine(b, 0.25, scanner, theta) for b in many for theta in (0.0, np.pi / 2)]


@pytest.mark.parametrize("kernel", [Kernel(), Kernel(9.0, 6.0, 0.02)], ids=["soft", "sharp"])
def test_kernel_multiplies_the_ramp_nps_by_its_square(many: list[ct.NoiseBases], kernel: Kernel) -> None:
    base, filtered = spectrum_of(draws(many, RAMP)), spectrum_of(draws(many, kernel))
    band = (base.f > 0.8) & (base.f < 5.5)
    ratio = filtered.power[band] / base.power[band]
    np.testing.assert_allclose(ratio, kernel.response(base.f[band]) ** 2, rtol=0.08)


def test_soft_kernel_noise_looks_like_that_of_a_scanner(many: list[ct.NoiseBases]) -> None:
    """Measured B30f noise: mean frequency 3.3 lp/cm, and its NPS (plausibility only)."""
    found = spectrum_of(draws(many, Kernel()))
    assert found.mean_frequency == pytest.approx(3.3, abs=0.3)
    assert spectrum_of(draws(many, RAMP)).mean_frequency > 4.2
    f = np.array([0.84, 1.26, 1.68, 2.11, 2.74, 3.37, 4.21, 5.05, 5.90, 6.74], np.float32)
    real = [0.47, 0.80, 0.92, 0.93, 0.95, 0.81, 0.47, 0.23, 0.08, 0.02]
    assert np.abs(found(f) / found.power.max() - real).max() < 0.2


def test_ramp_noise_has_the_ramp_nps(many: list[ct.NoiseBases]) -> None:
    """Filtered back-projection of white noise: NPS proportional to f well below the Nyquist frequency."""
    found = spectrum_of(draws(many, RAMP))
    band = (found.f > 0.8) & (found.f < 3.0)
    slope = np.polyfit(np.log(found.f[band]), np.log(found.power[band]), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.25)


def test_mixes_at_right_angles_are_uncorrelated_and_equally_strong(water: ct.NoiseBases) -> None:
    for theta in (0.3, 1.1):
        a, b = (ct.mix(water, t)[CENTRE] for t in (theta, theta + np.pi / 2))
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
        assert a.std() / b.std() == pytest.approx(1.0, abs=0.04)
    single = replace(water, quantum=water.quantum[:1])
    assert np.array_equal(ct.mix(single, 0.7), single.quantum[0])


def test_bow_tie_raises_noise_towards_the_edge_of_the_field() -> None:
    hu = cylinder((128, 128), 60.0)
    flat, tied = (
        ct.bases(hu, 2.6, np.random.default_rng(8), views=VIEWS, bow_tie=b).quantum[0] for b in (False, True)
    )
    y, x = (np.arange(128) - 63.5 for _ in range(2))
    r = np.hypot(y[:, None], x[None, :])
    ring, middle = (r > 48) & (r < 58), r < 15

    def rise(noise: np.ndarray) -> float:
        return float(noise[ring].std() / noise[middle].std())

    assert rise(tied) > 1.15 * rise(flat)
    assert tied[middle].std() > flat[middle].std() * 0.98


def test_exact_acquisition_knows_the_bow_tie_too() -> None:
    hu = cylinder((96, 96), 46.0)
    ring = (cylinder((96, 96), 45.0) > -1) & ~(cylinder((96, 96), 40.0) > -1)
    flat, tied = (
        starved(hu, 3.4, 0.5, Scanner(photons=1e6, views=90, bow_tie=b), np.random.default_rng(9)) - hu
        for b in (False, True)
    )
    assert tied[ring].std() > 1.2 * flat[ring].std()


def test_acquisitions_have_the_variance_of_the_bases_and_nothing_in_common() -> None:
    """V_q / I0 + Ne V_e / I0^2: an acquisition of a noise-free object, in the linear regime."""
    hu, pixel_mm, exposures = cylinder((96, 96), 44.0), 2.4, (4e5, 4e4)
    scanner = Scanner(electronic=200.0, views=90)
    rng = np.random.default_rng(4)
    noise = ct.acquire(hu, pixel_mm, exposures, scanner, rng, 6)
    assert noise.shape == (2, 6, 96, 96)
    inside = cylinder((96, 96), 40.0) > -1
    made = [ct.bases(hu, pixel_mm, rng, views=90) for _ in range(6)]
    for exposure, drawn in zip(exposures, noise, strict=True):
        quantum, electronic = (
            np.mean([ct.filter_padded(x, pixel_mm, scanner.kernel)[inside].var() for x in part])
            for part in ([b.quantum[0] for b in made], [b.electronic for b in made])
        )
        expected = quantum / exposure + scanner.electronic * electronic / exposure**2
        assert np.mean([n[inside].var() for n in drawn]) == pytest.approx(expected, rel=0.06)
    together = np.corrcoef(noise[..., inside].reshape(12, -1)) - np.eye(12)
    assert np.abs(together).max() < 0.08


def test_larger_patients_are_noisier() -> None:
    """Scale 1.5 lengthens every path by half: e^(p/2) for the central ray of 101 mm water."""
    noise = [
        ct.bases(WATER, PIXEL_MM, np.random.default_rng(5), views=90, scale=s).quantum[0][CENTRE].std()
        for s in (1.0, 1.5)
    ]
    assert 1.3 < noise[1] / noise[0] < np.exp(0.5 * 0.5 * 2 * 72 * PIXEL_MM * ct.MU_WATER)


def test_starvation_makes_streaks_that_the_clipped_logarithm_bounds() -> None:
    """Between metal rods hardly a photon is left: strong noise there, yet far below what e^p predicts."""
    hu = cylinder((96, 96), 44.0)
    hu[40:56, 14:30] = hu[40:56, 66:82] = 3071.0
    between, aside = (slice(44, 52), slice(34, 62)), (slice(70, 78), slice(34, 62))
    rng = np.random.default_rng(2)

    def exact(photons: float) -> np.ndarray:
        scanner = Scanner(photons=photons, views=90)
        return np.stack([starved(hu, 1.5, 0.1, scanner, rng) - hu for _ in range(6)])

    def additive(photons: float) -> np.ndarray:
        scanner = Scanner(photons=photons, views=90)
        return np.stack([ct.combine(ct.bases(hu, 1.5, rng, views=90), 0.1, scanner) for _ in range(6)])

    some, hardly_any = exact(2e4), exact(2e3)
    assert np.isfinite(hardly_any).all()
    assert some[:, between[0], between[1]].std() > 1.5 * some[:, aside[0], aside[1]].std()
    assert hardly_any[:, between[0], between[1]].std() < 0.7 * additive(2e3)[:, between[0], between[1]].std()


@pytest.mark.parametrize("shape", [(72, 112), (112, 72), (40, 40), (33, 50), (24, 24)])
def test_any_shape_of_slice(shape: tuple[int, int]) -> None:
    hu = cylinder(shape, 0.42 * min(shape))
    made = ct.bases(hu, PIXEL_MM, np.random.default_rng(1), realisations=2, views=60)
    assert made.quantum.shape == (2, *shape)
    assert made.electronic.shape == shape
    noise = ct.combine(made, 0.3, Scanner(), 0.4)
    assert noise.shape == shape
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()
    assert noise.std() > 0
    assert starved(hu, PIXEL_MM, 0.3, Scanner(views=60), np.random.default_rng(1)).shape == shape


@pytest.mark.parametrize("wide", [True, False])
def test_a_slice_of_any_shape_is_the_middle_of_its_square(wide: bool) -> None:
    """The pad to a square and the crop back are in step."""
    square = np.full((96, 96), -1000, np.float32)
    square[40:52, 60:84] = 1500.0
    square = square if wide else square.T.copy()
    crop = (slice(24, 72), slice(None)) if wide else (slice(None), slice(24, 72))
    whole, part = (ct.bases(a, 2.0, np.random.default_rng(1), views=60) for a in (square, square[crop]))
    np.testing.assert_array_equal(part.quantum[0], whole.quantum[0][crop])
    np.testing.assert_array_equal(part.electronic, whole.electronic[crop])


@pytest.mark.skipif(find_spec("astra") is None, reason="astra-toolbox is not installed (extra ct-sim)")
def test_both_projectors_make_the_same_noise_level() -> None:
    """With a body kernel; near the Nyquist frequency the two interpolate differently."""
    hu = cylinder((96, 96), 43.0)
    mask = cylinder((96, 96), 33.0) > -1
    levels = [
        ct.combine(ct.bases(hu, PIXEL_MM, np.random.default_rng(s), views=120, backend=b), 0.25, Scanner())[
            mask
        ].std()
        for b in ("astra", "skimage")
        for s in (1, 2, 3)
    ]
    assert np.mean(levels[:3]) / np.mean(levels[3:]) == pytest.approx(1.0, abs=0.06)


def test_same_seed_same_noise() -> None:
    hu = cylinder((48, 48), 20.0)

    def make(seed: int) -> np.ndarray:
        return ct.combine(ct.bases(hu, 1.0, np.random.default_rng(seed), views=45), 0.5, Scanner())

    assert np.array_equal(make(1), make(1))
    assert not np.array_equal(make(1), make(2))
    exact = [starved(hu, 1.0, 0.5, Scanner(views=45), np.random.default_rng(s)) for s in (1, 1, 2)]
    assert np.array_equal(exact[0], exact[1])
    assert not np.array_equal(exact[0], exact[2])


def test_noise_is_of_mean_zero_and_leaves_hu_alone(water: ct.NoiseBases) -> None:
    """Insertion must not shift HU: mean over the cylinder within three standard errors."""
    scanner = Scanner(photons=1e5)
    noise = [ct.combine(water, 0.25, scanner, t)[CENTRE].mean() for t in (0.0, np.pi / 2)]
    assert np.abs(noise).max() < 0.05 * sd(ct.combine(water, 0.25, scanner))


@pytest.mark.parametrize("dose", [0.0, 1.0, -0.1, 1.5])
def test_dose_must_be_a_fraction(water: ct.NoiseBases, dose: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        ct.combine(water, dose, Scanner())


def test_scaling_sets_the_soft_tissue_sd(water: ct.NoiseBases) -> None:
    noise = ct.scale_to(ct.combine(water, 0.25, Scanner()), WATER, 30.0)
    mask = ct.soft_tissue(WATER)
    assert noise[mask].std() == pytest.approx(30.0, rel=1e-4)
    assert not mask[WATER < -500].any()
    assert mask[CENTRE].all()


def test_soft_tissue_falls_back_to_the_body_then_to_everything() -> None:
    assert ct.soft_tissue(cylinder((64, 64), 25, hu=900.0)).sum() > 1000
    assert ct.soft_tissue(np.full((32, 32), -1000, np.float32)).all()
