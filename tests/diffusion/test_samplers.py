"""Sampler contract: grids, callbacks, exits, and what watches them."""

from __future__ import annotations

import numpy as np
import pytest
from closed_form import SX, UNIT_N, R, average

from medidiff.diffusion import (
    SAMPLERS,
    Matched,
    Step,
    VariancePreserving,
    geo,
    grid,
    guard,
    guided,
    karras,
    mean,
    natural,
    preserve_dc,
    quad,
    sample,
    stop_at,
    strength,
    uniform,
)
from medidiff.diffusion.schedules import MOST_REST, REST


def shrink(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    return x / (1 + t**2), np.full_like(x, t**2 / (1 + t**2))


def noise_like(y: np.ndarray):  # type: ignore[no-untyped-def]
    return lambda rng: rng.standard_normal(y.shape, dtype=np.float32)


def test_grids() -> None:
    assert geo(3) == pytest.approx((1, np.sqrt(0.1), 0.1, 0))
    assert geo(1) == (1.0, 0.0)
    assert quad(4) == (1.0, 0.5625, 0.25, 0.0625, 0.0)
    assert uniform(2, 0.8) == (0.8, 0.4, 0.0)
    levels = karras(5, 80.0, 0.002)
    assert levels[0] == pytest.approx(80.0)
    assert levels[2] == pytest.approx((0.5 * (80 ** (1 / 7) + 0.002 ** (1 / 7))) ** 7)
    assert levels[-2:] == (pytest.approx(0.002), 0.0)
    assert grid("geo", 8, t_y=0.05, t_min=0.01)[-2] == pytest.approx(0.2)
    assert grid("geo", 8, t_y=1.0, t_min=0.01)[-2] == pytest.approx(0.1)
    assert grid("quad", 3, t_y=1.0, t_min=0.01) == quad(3, REST)
    # A fixed amount of noise is left between the lowest and the highest share.
    assert grid("quad", 2, t_y=0.04, t_min=0.002, left=0.01) == quad(2, 0.25)
    assert grid("quad", 2, t_y=0.2, t_min=0.002, left=0.01) == quad(2, REST)
    assert grid("quad", 2, t_y=0.012, t_min=0.002, left=0.01) == quad(2, MOST_REST)
    assert quad(2, 0.2) == pytest.approx((1.0, 0.4, 0.2))
    # Too little noise for several steps; what stays stays.
    assert grid("quad", 3, t_y=0.02, t_min=0.01) == (1.0, REST)
    assert grid("quad", 2, t_y=0.004, t_min=0.002, left=0.01) == (1.0, MOST_REST)
    assert grid("geo", 3, t_y=0.02, t_min=0.01) == (1.0, 0.0)
    assert stop_at((1.0, 0.5, 0.25, 0.0), 0.3) == (1.0, 0.5, 0.3)
    with pytest.raises(ValueError, match="steps"):
        geo(0)
    with pytest.raises(ValueError, match="rho"):
        stop_at((1.0, 0.0), 1.0)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_same_seed_same_bytes_and_same_signature(name: str, rng: np.random.Generator) -> None:
    y = rng.normal(size=(16, 16)).astype(np.float32)
    levels = geo(4) if name in ("natural", "sample") else (1.0, 0.0 if name == "mean" else 0.3)
    seen: list[Step] = []

    def run(seed: int) -> np.ndarray:
        estimate = SAMPLERS[name](
            shrink,
            y,
            Matched(0.5),
            levels,
            rng=np.random.default_rng(seed),
            noise=noise_like(y),
            callback=seen.append,
        )
        assert estimate.evaluations == len(levels) - 1
        assert estimate.mean.tobytes() == shrink(y, 0.5)[0].tobytes()
        assert estimate.image.dtype == np.float32
        return estimate.image

    first = run(1)
    assert [step.index for step in seen] == list(range(len(levels) - 1))
    assert seen[-1].x is first
    assert run(1).tobytes() == first.tobytes()
    assert (run(2).tobytes() == first.tobytes()) is (name != "sample")


def test_a_callback_can_stop_the_run() -> None:
    class Stop(Exception):
        pass

    def stop(step: Step) -> None:
        if step.index == 1:
            raise Stop

    y = np.ones((4, 4), np.float32)
    with pytest.raises(Stop):
        natural(shrink, y, Matched(0.5), quad(4), callback=stop)


def test_strength_ends_are_the_scan_and_the_mean(rng: np.random.Generator) -> None:
    y = rng.normal(size=(8, 8)).astype(np.float32)
    assert strength(shrink, y, Matched(0.5), (1.0, 1.0)).image is y
    whole = strength(shrink, y, Matched(0.5), (1.0, 0.0)).image
    assert whole.tobytes() == mean(shrink, y, Matched(0.5)).image.tobytes()


@pytest.mark.parametrize("levels", [(1.0,), (1.0, 1.0, 0.0), (1.0, 0.2, 0.5), (1.0, -0.1)])
def test_senseless_levels_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="descend"):
        sample(shrink, np.ones((4, 4), np.float32), Matched(0.5), levels)


def test_samplers_take_jax_arrays() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    y = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    n = np.cos(np.arange(64, dtype=np.float32)).reshape(8, 8)

    def shrink_any(x, t):  # type: ignore[no-untyped-def]
        return x / (1 + t**2), 0 * x + t**2 / (1 + t**2)

    got = sample(shrink_any, jnp.asarray(y), Matched(0.5), geo(4), noise=lambda _: jnp.asarray(n)).image
    expected = sample(shrink_any, y, Matched(0.5), geo(4), noise=lambda _: n).image
    assert np.asarray(got) == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def spectrum() -> np.ndarray:
    """CT-like noise power on a 128 x 128 grid of 0.742 mm pixels."""
    f = np.fft.fftfreq(128, 0.0742)
    return np.interp(np.hypot(f[:, None], f), R, UNIT_N)


def coloured(rng: np.random.Generator, spectrum: np.ndarray) -> np.ndarray:
    white = rng.normal(size=spectrum.shape)
    return np.fft.ifft2(np.sqrt(spectrum / spectrum.mean()) * np.fft.fft2(white)).real


def test_guard_accepts_noise_and_flags_a_lost_organ(rng: np.random.Generator, spectrum: np.ndarray) -> None:
    out = np.zeros((128, 128))
    y = 65.0 * coloured(rng, spectrum)
    quiet = guard(y, out, 65.0, spectrum, 0.742)
    assert quiet.fraction < 1e-3
    assert np.std(quiet.difference) * 4 == pytest.approx(
        quiet.limit, rel=0.25
    )  # some 250 independent samples
    yy, xx = np.mgrid[:128, :128] - 64
    lesion = 100.0 * (np.hypot(yy, xx) < 15)
    loud = guard(y + lesion, out, 65.0, spectrum, 0.742)
    assert loud.flagged[64, 64]
    assert not loud.flagged[5, 5]


def test_preserve_dc_restores_a_lost_offset(rng: np.random.Generator) -> None:
    y = 40.0 + rng.normal(size=(96, 96))
    out = np.zeros((96, 96))
    kept = preserve_dc(y, out, 0.742)
    assert kept.mean() == pytest.approx(y.mean(), abs=1e-6)
    assert kept.std() < 0.1  # none of the noise of the scan comes back


def test_data_consistency_is_the_wiener_filter_when_the_network_knows_nothing() -> None:
    """Prior mean 0 with error spectrum Sx, plus the scan: Sx / (Sx + N) y."""
    rng = np.random.default_rng(0)
    f = np.fft.fftfreq(64, 0.0742)
    r = np.hypot(f[:, None], f)
    s_x, n = np.interp(r, R, SX), 65.0**2 * np.interp(r, R, UNIT_N)
    y = rng.normal(size=(64, 64)) * 100
    process = VariancePreserving(conditional=False)
    denoised = guided(lambda x, t: (0 * x, None), y, process, n, lambda t: s_x)
    expected = np.fft.ifft2(s_x / (s_x + n) * np.fft.fft2(y)).real
    assert denoised(y, 1.0)[0] == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match="twice"):
        guided(shrink, y, Matched(0.5), n, lambda t: s_x)


def test_fixture_scales() -> None:
    assert average(SX) == pytest.approx(4900.0)
    assert average(UNIT_N) == pytest.approx(1.0)
