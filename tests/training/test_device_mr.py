"""MR samples made on the device have the statistics of those of NumPy."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from toy import toy_config

from medidiff.noise import mr
from medidiff.training.mr_source import MRSource
from medidiff.training.mr_stacks import Stack

jax = pytest.importorskip("jax", reason="jax is not installed")
DRAWS = 200
H, W = 44, 52


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["any noise", "noise like its own"])
def source(request: pytest.FixtureRequest) -> MRSource:
    """Two stacks of smooth objects in air, of different size; only the larger one may be binned."""
    config = toy_config(Path("unused"))
    data = replace(config.data, patch=16, sigma=(0.03, 0.2), low_sigma=0.005, low_share=0.1)
    data = replace(data, own_share=request.param)
    rng = np.random.default_rng(0)

    def stack(count: int, h: int, w: int, sigma: float) -> Stack:
        y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None, :]
        body = np.hypot(y / 0.8, x / 0.85) < 1
        texture = ndimage.gaussian_filter(rng.standard_normal((count, h, w)), (0, 3, 3))
        slices = np.clip(0.6 + 0.25 * texture / texture.std(), 0.1, 1.5) * body
        return Stack(slices.astype(np.float32), sigma, 1.0, f"{h}")

    made = MRSource.__new__(MRSource)
    made.config = replace(config, modality="mr", data=data)
    made.stacks = [stack(5, H, W, 0.01), stack(3, 28, 30, 0.02)]
    made.share = np.array([5.0, 3.0]) / 8.0
    # Of the smaller one the noise could not be measured: its slices have any noise.
    power = np.outer(np.linspace(1.6, 0.1, 8), np.linspace(1.2, 0.5, 8))
    made.own_share, made.measured = request.param, {0: (power / power.mean(), 1.3), 1: None}
    return made


def figures(
    planes: dict[str, Any], sigma: float, ratio: float, texture: float, pixel_mm: float
) -> list[float]:
    state, target, relative = (np.asarray(planes[k], float) for k in ("state", "target", "relative"))
    lit = target > 5.0 * sigma * relative
    difference = (state - target)[lit] / (sigma * relative[lit]) if lit.sum() > 30 else np.array([np.nan])
    noise = np.where(lit, state - target, 0.0)
    along = [np.sum(noise[1:] * noise[:-1]), np.sum(noise[:, 1:] * noise[:, :-1])]
    along = [float(a / np.sum(noise**2)) if lit.sum() > 30 else np.nan for a in along]
    air = (target < 0.02 * target.max()) & (state > 0)
    floor = np.mean(state[air] ** 2) if air.sum() > 30 else np.nan
    return [
        float(np.log(sigma)), float(texture), float(np.log(ratio)), float(pixel_mm),
        float(relative.mean()), float(relative.std()), float(target.mean()), float(target.std()),
        float(np.mean(np.diff(target, axis=0) ** 2)),
        float(difference.std()), float(np.log(floor)) - 2 * float(np.log(sigma)),
        float(np.log(np.mean(planes["weight"]))), float((state == 0).mean() > 0.01),
        float(np.std(np.asarray(planes["previous"]) - state)) / sigma,
        *along, float(np.mean(planes["excess"])) / sigma**2,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def compared(source: MRSource) -> tuple[np.ndarray, np.ndarray]:
    from medidiff.training.device_cut import EXCESS, PREVIOUS, RELATIVE, STATE, TARGET, WEIGHT
    from medidiff.training.device_mr import Bank, simulate

    rng, by_numpy, by_jax = np.random.default_rng(0), [], []
    for _ in range(DRAWS):
        s = source.draw(rng)
        planes = {k: getattr(s, k) for k in ("state", "target", "weight", "previous", "excess")}
        planes["relative"] = s.relative_sd
        by_numpy.append(figures(planes, s.sigma, s.neighbour_sigma / s.sigma, s.texture or 0.0, s.pixel_mm))
    bank = Bank.of(source)
    assert bank.slices.shape == (8, 48, 64)
    draw = jax.jit(lambda bank, key: simulate(bank, key, source.config))
    for k in range(DRAWS):
        f = draw(bank, jax.random.key(k))
        p = np.asarray(f.planes)
        # Padding has no signal and a relative map of 1: cut to what NumPy would have returned.
        h, w = extent(p[TARGET], float(f.pixel_mm))
        names = {
            "state": STATE,
            "target": TARGET,
            "relative": RELATIVE,
            "weight": WEIGHT,
            "previous": PREVIOUS,
            "excess": EXCESS,
        }
        planes = {name: p[i, :h, :w] for name, i in names.items()}
        ratio = float(f.neighbour_sigma / f.sigma)
        by_jax.append(figures(planes, float(f.sigma), ratio, float(f.texture), float(f.pixel_mm)))
    return np.array(by_numpy), np.array(by_jax)


def extent(target: np.ndarray, pixel_mm: float) -> tuple[int, int]:
    """Size before padding: binned slices are half, and the small stack shows nothing below row 28."""
    if pixel_mm > 1.5:
        return H // 2, W // 2
    return (28, 30) if np.abs(target[30:]).max() < 0.2 * np.abs(target).max() else (H, W)


def test_slices_have_the_statistics_of_numpy(compared: tuple[np.ndarray, np.ndarray]) -> None:
    """Level, zero-fill, neighbours, g-map, contrast, noise in signal and air, its colour, weights, masks."""
    by_numpy, by_jax = compared
    error = np.hypot(np.nanstd(by_numpy, 0), np.nanstd(by_jax, 0)) / np.sqrt(DRAWS)
    difference = np.abs(np.nanmean(by_numpy, 0) - np.nanmean(by_jax, 0))
    assert (difference <= 4.0 * error + 0.02 * np.abs(np.nanmean(by_numpy, 0))).all(), difference / error
    np.testing.assert_allclose(np.nanstd(by_jax, 0), np.nanstd(by_numpy, 0), rtol=0.35, atol=0.02)


def test_zero_filled_noise_keeps_its_sd_in_a_smaller_box() -> None:
    """Noise of declared SD whatever the box; its spectrum ends where that of `medidiff.noise.mr` ends."""
    from medidiff.training.device_acquired import _lines

    for n, factor, share in ((64, 1.0, 1.0), (64, 1.5, 1.0), (50, 2.0, 0.7), (48, 1.25, 0.625)):
        expected = np.zeros(n, bool)
        expected[mr._acquired_lines(n, factor, share)] = True
        np.testing.assert_array_equal(
            _lines(n, jax.numpy.float32(factor), jax.numpy.float32(share)), expected
        )


def test_windows_are_those_of_numpy() -> None:
    """Mean and SD over draws of what passes, on the axes and in a corner."""
    from medidiff.noise.kspace import draw_window
    from medidiff.training.device_acquired import _window

    shape, zero_fill, rng = (24, 16), (1.5, 1.0), np.random.default_rng(0)
    plain = np.ones(shape, np.float32)
    ours = [
        draw_window(rng).values(shape, zero_fill) if rng.random() < mr.WINDOWED else plain
        for _ in range(1500)
    ]
    draw = jax.jit(jax.vmap(lambda key: _window(shape, jax.numpy.asarray(zero_fill), key)))
    a, b = np.asarray(draw(jax.random.split(jax.random.key(0), 1500))), np.stack(ours)
    box = np.ix_(np.abs(np.fft.fftfreq(24)) < 0.5 / 1.5, np.abs(np.fft.fftfreq(16)) < 0.5)
    for of in (np.mean, np.std):
        np.testing.assert_allclose(of(a, axis=0)[box], of(b, axis=0)[box], atol=0.04)


def test_smooth_fields_are_those_of_numpy() -> None:
    from medidiff.training.device_acquired import smooth_field

    size, rng = np.array([40, 30]), np.random.default_rng(0)
    for modes in (0, 1, 3):
        draw = jax.jit(lambda key, m=modes: smooth_field((48, 32), jax.numpy.asarray(size), m, key))
        a = np.stack([np.asarray(draw(jax.random.key(k)))[:40, :30] for k in range(200)])
        b = np.stack([mr.smooth_field((40, 30), modes, rng) for _ in range(200)])
        assert a.std() == pytest.approx(b.std(), rel=0.1, abs=1e-6)
        steps = [np.sqrt(np.mean(np.diff(f, axis=1) ** 2)) for f in (a, b)]
        assert steps[0] == pytest.approx(steps[1], rel=0.1, abs=1e-6)


def test_batches_come_from_the_pack(
    source: MRSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed volumes come back within half a thousandth, in all orientations, and make batches."""
    from medidiff.training import mr_stacks, pack
    from medidiff.training.device import device_batches
    from medidiff.training.manifest import Scan

    rng = np.random.default_rng(1)
    signal = np.zeros((40, 40, 40), np.float32)
    signal[8:32, 8:32, 8:32] = 0.8 + 0.1 * rng.standard_normal((24, 24, 24))
    scan = Scan(Path("nowhere"), "toy", "p1", 1.0, "one")
    monkeypatch.setattr("medidiff.training.scans.list_scans", lambda root, modality, role: [scan])
    monkeypatch.setattr(mr_stacks, "volumes", lambda scan: iter([(signal, (1.0, 1.0, 1.0), 0.01)]))
    config = source.config
    path = pack.write(tmp_path / "mr.pack", config, 5.0)
    config = replace(config, data=replace(config.data, pack=str(path), device=True))
    found = MRSource(config)
    assert len(found.stacks) == 3
    whole = found.stacks[0]
    np.testing.assert_allclose(whole.slices, np.maximum(signal[8:32], 0), atol=0.0006)
    assert (whole.sigma, whole.pixel_mm) == (0.01, 1.0)
    assert whole.label != "one"  # paths may name patients
    first, second = islice(device_batches(config, 0), 2)
    assert first.planes.shape == (8, 16, 16, 4)
    assert all(np.isfinite(np.asarray(a)).all() for a in first.arrays())
    assert np.abs(np.asarray(first.state) - np.asarray(second.state)).max() > 0
    assert np.all(np.asarray(first.condition)[:, 12] == 1.0)  # the modality bit
