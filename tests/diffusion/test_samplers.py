"""Samplers: level grids, determinism, refusals, and data consistency."""

from __future__ import annotations

import numpy as np
import pytest
from closed_form import SX, UNIT_N, R, average

from medidiff.diffusion import (
    Estimate,
    Matched,
    VariancePreserving,
    geo,
    grid,
    guided,
    karras,
    mean,
    natural,
    quad,
    sample,
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
    assert uniform(2) == (1.0, 0.5, 0.0)
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
    with pytest.raises(ValueError, match="steps"):
        geo(0)


@pytest.mark.parametrize("name", ["mean", "natural", "sample"])
def test_same_seed_same_bytes(name: str, rng: np.random.Generator) -> None:
    y = rng.normal(size=(16, 16)).astype(np.float32)
    levels = geo(4)

    def run(seed: int) -> Estimate:
        draw = {"rng": np.random.default_rng(seed), "noise": noise_like(y)}
        if name == "mean":
            return mean(shrink, y, Matched(0.5), **draw)
        return {"natural": natural, "sample": sample}[name](shrink, y, Matched(0.5), levels, **draw)

    first = run(1)
    assert first.evaluations == (1 if name == "mean" else len(levels) - 1)
    assert first.mean.tobytes() == shrink(y, 0.5)[0].tobytes()
    assert first.image.dtype == np.float32
    assert run(1).image.tobytes() == first.image.tobytes()
    assert (run(2).image.tobytes() == first.image.tobytes()) is (name != "sample")


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
