"""Samples made on the device have the statistics of those of NumPy; packs carry what they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ct_items import fill_cache
from toy import toy_config

from medidiff.diffusion.precondition import Precondition
from medidiff.errors import ModelError, UsageError
from medidiff.models.conditioning import Condition, features
from medidiff.models.conditioning import vector as numpy_vector
from medidiff.training import pack
from medidiff.training.config import TrainConfig
from medidiff.training.ct_source import CTSource
from medidiff.training.patches import DROP_MAP, DROP_NEIGHBOUR, DROP_TEXTURE, SIGMA_JITTER

DRAWS = 160


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    made = toy_config(tmp_path_factory.mktemp("run"))
    made = replace(made, data=replace(made.data, cache=str(tmp_path_factory.mktemp("cache"))))
    for role in ("train", "val"):
        fill_cache(made, role)
    return made


@pytest.fixture(scope="module")
def source(config: TrainConfig) -> CTSource:
    return CTSource(config)


# the slice


def band_share(noise: np.ndarray) -> float:
    """Share of the power of an image above a quarter of a cycle a pixel."""
    power = np.abs(np.fft.fft2(noise)) ** 2
    f = np.hypot(np.fft.fftfreq(noise.shape[0])[:, None], np.fft.fftfreq(noise.shape[1])[None, :])
    return float(power[f > 0.25].sum() / power.sum())


def figures(
    state: Any, previous: Any, target: Any, excess: Any, sigma: Any, ratio: Any, texture: Any
) -> list[float]:
    """What must agree of one draw; the crop is that of the slice, without padding."""
    difference = state - target
    return [
        float(np.log(sigma)),
        float(difference.std() / sigma),
        band_share(difference),
        band_share(state - previous),
        float((state - previous).std() / np.hypot(sigma, sigma * ratio)),
        float(np.sqrt(excess.mean()) / sigma),
        float(excess.any()),
        float(ratio > 1.001),
        float(np.log(ratio)),
        float(texture),
    ]


@pytest.fixture(scope="module")
def compared(source: CTSource) -> tuple[np.ndarray, np.ndarray]:
    """Figures of many draws by NumPy and by JAX, ``[draws, figures]``."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device_ct import simulate
    from medidiff.training.device_ct_bank import Bank
    from medidiff.training.device_cut import EXCESS, PREVIOUS, STATE, TARGET

    rng = np.random.default_rng(0)
    by_numpy = []
    for _ in range(DRAWS):
        s = source.draw(rng)
        ratio = s.neighbour_sigma / s.sigma
        by_numpy.append(figures(s.state, s.previous, s.target, s.excess, s.sigma, ratio, s.texture))
    bank = Bank.of(source)
    draw = jax.jit(lambda bank, key: simulate(bank, key, source.config))
    by_jax = []
    for k in range(DRAWS):
        fields = draw(bank, jax.random.key(k))
        p = np.asarray(fields.planes)[:, :96, :112]
        ratio = float(fields.neighbour_sigma / fields.sigma)
        by_jax.append(
            figures(p[STATE], p[PREVIOUS], p[TARGET], p[EXCESS], float(fields.sigma), ratio, fields.texture)
        )
    return np.array(by_numpy), np.array(by_jax)


def test_slices_have_the_statistics_of_numpy(compared: tuple[np.ndarray, np.ndarray]) -> None:
    """Level, noise SD and colour, neighbours, target excess, texture: means within four standard errors."""
    by_numpy, by_jax = compared
    error = np.hypot(by_numpy.std(0), by_jax.std(0)) / np.sqrt(DRAWS)
    difference = np.abs(by_numpy.mean(0) - by_jax.mean(0))
    assert (difference < 4.0 * error + 0.01 * np.abs(by_numpy.mean(0))).all(), difference / error
    # And spreads: no figure is constant where it should vary.
    np.testing.assert_allclose(by_jax.std(0), by_numpy.std(0), rtol=0.3, atol=0.01)
    assert by_numpy.std(0).min() > 0.0
    for extreme in (np.min, np.max):
        np.testing.assert_allclose(extreme(by_jax[:, 0]), extreme(by_numpy[:, 0]), atol=0.5)


def test_noise_has_the_declared_sd_and_targets_their_excess(
    source: CTSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On slices without noise of their own, state - target is the noise alone: SD t in soft tissue."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device_ct import simulate
    from medidiff.training.device_ct_bank import Bank
    from medidiff.training.device_cut import EXCESS, STATE, TARGET

    bank = Bank.of(source)
    clean = bank._replace(sigma=0.0 * bank.sigma)
    draw = jax.jit(lambda bank, key: simulate(bank, key, source.config))
    soft = np.asarray(bank.soft)
    for k in range(10):
        fields = draw(clean, jax.random.key(k))
        p = np.asarray(fields.planes)
        assert not p[EXCESS].any()
        noise = (p[STATE] - p[TARGET])[:96, :112]
        ratios = [noise[m[:96, :112]].std() / float(fields.sigma) for m in soft]
        assert min(abs(r - 1.0) for r in ratios) < 0.02
    # With noise of 12 HU and t >= 1.41 * 12 HU the excess is that of the same slice in NumPy.
    own = bank._replace(clean=bank.reference, sigma=0.0 * bank.sigma + 12.0)
    excess = []
    for k in range(40):
        fields = draw(own, jax.random.key(k))
        t = 500.0 * float(fields.sigma)
        mean = 500.0**2 * float(np.asarray(fields.planes)[EXCESS].mean())
        if t >= 1.41 * 12.0:
            assert mean > 12.0**2  # sigma_F^2 / (1 - a) and more where the kernels differ
            excess.append(mean * (1 - (12.0 / t) ** 2) / 12.0**2)
        else:
            assert mean == 0.0
    assert np.median(excess) == pytest.approx(1.0, abs=0.1)


def test_share_of_cleaner_targets(config: TrainConfig, source: CTSource) -> None:
    """Targets of the clean pool have less noise of their own; at a share of 1 there are no others."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device_ct import simulate
    from medidiff.training.device_ct_bank import Bank
    from medidiff.training.device_cut import EXCESS

    bank = Bank.of(source)
    least = 500.0**-2 * min(r.sigma for r in source.references) ** 2  # sigma_F^2 / (1 - a) is above that

    def noisy(share: float) -> list[bool]:
        chosen = replace(config, data=replace(config.data, clean_share=share))
        draw = jax.jit(lambda bank, key: simulate(bank, key, chosen))
        planes = [np.asarray(draw(bank, jax.random.key(k)).planes) for k in range(20)]
        return [float(p[EXCESS].max()) > least for p in planes]

    assert any(noisy(0.0))
    assert not any(noisy(1.0))


def test_inserts_have_the_statistics_of_numpy() -> None:
    """Area, size of contrast, share of bright ones and of planes, against `medidiff.training.inserts`."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training import inserts
    from medidiff.training.device_inserts import draw_inserts

    hu, rng = np.full((3, 64, 72), 40, np.int16), np.random.default_rng(0)
    spots = np.argwhere(np.ones((64, 72), bool)).astype(np.int32)
    draw = jax.jit(lambda key: draw_inserts((64, 72), jax.numpy.asarray(spots), 0.7, key))

    def told(contrast: np.ndarray) -> list[float]:
        one = contrast[1]
        return [
            float((one != 0).mean()),
            float(np.abs(contrast[0]).mean()),
            float(np.abs(one).mean()),
            float((one > 0).mean()),
            float(np.corrcoef(contrast[0].ravel(), one.ravel())[0, 1]),
            float(np.abs(np.diff(one, axis=0)).mean()),
        ]

    a = np.array([told(inserts.draw_inserts(hu, 0.7, rng)) for _ in range(250)])
    b = np.array([told(np.asarray(draw(jax.random.key(k)))) for k in range(250)])
    error = np.hypot(a.std(0), b.std(0)) / np.sqrt(250)
    assert (np.abs(a.mean(0) - b.mean(0)) < 4.0 * error).all()
    np.testing.assert_allclose(b.std(0), a.std(0), rtol=0.3)


def test_inserts_belong_to_the_truth(config: TrainConfig, source: CTSource) -> None:
    """State and target carry them alike: their difference is noise, with inserts or without."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device_ct import simulate
    from medidiff.training.device_ct_bank import Bank
    from medidiff.training.device_cut import STATE, TARGET

    bank = Bank.of(source)
    with_inserts = replace(config, data=replace(config.data, insert_share=1.0))
    plain, marked = (
        np.asarray(jax.jit(lambda bank, key, c=c: simulate(bank, key, c))(bank, jax.random.key(3)).planes)
        for c in (config, with_inserts)
    )
    added = marked - plain
    assert np.abs(500 * added[TARGET]).max() > 3.0
    inside = (plain[STATE] > -1.0) & (marked[STATE] > -1.0)  # not clipped at -1024 HU
    np.testing.assert_allclose(added[STATE][inside], added[TARGET][inside], atol=1e-4)


# the patch


def test_condition_vector_is_that_of_numpy() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    for modality, kernel in (("ct", 3.4), ("ct", None), ("mr", 1.5)):
        c = Condition(0.07, kernel, 0.9, modality, 2.5, previous=True, following=False)
        known, given = np.bool_(kernel is not None), np.array([True, False])
        found = features(0.07, kernel or 0.0, known, 0.9, modality, 2.5, given, jax.numpy)
        np.testing.assert_allclose(found, numpy_vector(c), atol=1e-5)


def cuts(count: int) -> tuple[Any, ...]:
    """Patches of a slice whose planes are known."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device_cut import PLACES, Fields, cut

    h, w = 48, 40
    ramp = np.arange(h * w, dtype=np.float32).reshape(h, w)
    ones = np.ones((h, w), np.float32)
    planes = np.stack([ramp, ramp + 2000, ramp + 4000, 2 * ones, ramp + 1, ramp + 2, ramp + 3])
    rng = np.random.default_rng(0)
    corners = np.stack([rng.integers(0, h - 15, PLACES), rng.integers(0, w - 15, PLACES)], 1).astype(np.int32)
    fields = Fields(planes, corners, np.array([True, True]), 0.2, 0.4, 3.0, 0.7)
    fields = Fields(*(jax.numpy.asarray(a) for a in fields))
    one = jax.jit(jax.vmap(lambda k: cut(fields, 16, Precondition(0.5), k, "ct")))
    return tuple(np.asarray(a) for a in one(jax.random.split(jax.random.key(1), count)))


def test_patches_are_windows_in_eight_positions_with_dropout() -> None:
    planes, condition, state, target, sigma, told, excess, weight = cuts(600)
    np.testing.assert_array_equal(target - state, 1.0)
    np.testing.assert_array_equal(excess - state, 2.0)
    np.testing.assert_array_equal(weight - state, 3.0)
    corners = state[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert len({tuple(np.argsort(c)) for c in corners}) == 8
    assert (state.max((1, 2)) - state.min((1, 2)) == 15 * 40 + 15).all()  # a window of 16 by 16
    assert np.all(sigma == np.float32(0.2))
    spread = np.log(told / sigma)
    assert np.abs(spread).max() <= SIGMA_JITTER + 1e-6
    assert spread.std() == pytest.approx(SIGMA_JITTER / np.sqrt(3), rel=0.1)
    c_in = 1 / np.hypot(told, 0.5)[:, None, None]
    np.testing.assert_allclose(planes[..., 0], c_in * state, rtol=1e-4)
    given = [planes[..., i].any(axis=(1, 2)) for i in (1, 2)]
    for g, flag in zip(given, (14, 15), strict=True):
        assert (~g).mean() == pytest.approx(DROP_NEIGHBOUR, abs=0.07)
        np.testing.assert_array_equal(condition[:, flag], g)
    offsets = np.rint((planes[given[0], ..., 1] / c_in[given[0]] - state[given[0]]).mean((1, 2)) / 2000)
    assert set(offsets) == {1.0, 2.0}
    mapped = planes[..., 3].any(axis=(1, 2))
    assert (~mapped).mean() == pytest.approx(DROP_MAP, abs=0.05)
    assert planes[mapped, 0, 0, 3].mean() == pytest.approx(np.log(2), abs=0.02)
    assert planes[mapped, 0, 0, 3].std() == pytest.approx(0.05, rel=0.15)
    assert (condition[:, 10] == 0).mean() == pytest.approx(DROP_TEXTURE, abs=0.07)
    assert condition[:, 13].mean() == pytest.approx(np.log(2), abs=1e-5)


def test_places_are_worth_their_time() -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device_cut import places

    worth = np.zeros((64, 80), bool)
    worth[:24, 40:] = True
    found = places(worth, 16, 300, np.random.default_rng(0))
    shares = [worth[y : y + 16, x : x + 16].mean() for y, x in found]
    assert min(shares) > 0.25
    assert found.max(0)[1] == 80 - 16  # up to the very edge
    assert places(~worth & worth, 16, 5, np.random.default_rng(0)).shape == (5, 2)


def device_config(config: TrainConfig) -> TrainConfig:
    return replace(config, data=replace(config.data, device=True))


def test_batches_are_functions_of_seed_and_step(config: TrainConfig) -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device import device_batches

    on_device = device_config(config)
    first = list(islice(device_batches(on_device, 0), 3))
    (again,) = islice(device_batches(on_device, 2), 1)
    for a, b, other in zip(first[2].arrays(), again.arrays(), first[1].arrays(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == other.shape
    assert len(again) == on_device.optimiser.batch
    assert again.planes.shape == (8, 32, 32, 4)
    assert np.isfinite(np.concatenate([np.ravel(a) for a in again.arrays()])).all()
    assert np.abs(np.asarray(first[1].state) - np.asarray(again.state)).max() > 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: replace(c, process="mixing"), "CPU alone"),
        (lambda c: replace(c, data=replace(c.data, noise="white")), "CPU alone"),
        (lambda c: replace(c, data=replace(c.data, per_slice=3)), "multiple of per_slice"),
    ],
)
def test_what_the_device_cannot_do_is_refused(
    config: TrainConfig, change: Callable[[TrainConfig], TrainConfig], says: str
) -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    from medidiff.training.device import device_batches

    with pytest.raises(UsageError, match=says):
        next(device_batches(change(device_config(config)), 0))


# the pack


def packed(config: TrainConfig, path: Path) -> TrainConfig:
    pack.write(path, config, 5.0)
    return replace(config, data=replace(config.data, pack=str(path), cache="nowhere", root="nowhere"))


def test_a_pack_holds_what_the_cache_holds(config: TrainConfig, source: CTSource, tmp_path: Path) -> None:
    from_pack = CTSource(packed(config, tmp_path / "ct.pack"))
    assert len(from_pack.references) == len(source.references) == 3
    assert len(from_pack.clean) == 1
    key = lambda r: float(r.item.hu.astype(float).std())  # noqa: E731
    for a, b in zip(sorted(from_pack.references, key=key), sorted(source.references, key=key), strict=True):
        assert a.item.hu.shape == b.item.hu.shape  # the toy body fills its slice
        assert np.abs(a.item.hu.astype(int) - np.clip(b.item.hu, -1024, 3071)).max() <= 1
        assert np.abs(a.item.bases.astype(float) - b.item.bases).max() <= 0.13
        assert a.sigma == b.sigma
        np.testing.assert_array_equal(a.own, b.own)
        np.testing.assert_allclose(a.item.relative_sd, b.item.relative_sd, atol=0.01)
        assert (a.item.pixel_mm, a.item.electronic_ratio) == (b.item.pixel_mm, b.item.electronic_ratio)
        assert b.item.scan == "toy"
        assert "toy" not in a.item.scan  # paths may name patients
    clean, original = from_pack.clean[0].item, source.clean[0].item
    np.testing.assert_array_equal(
        clean.hu, np.clip(original.hu, -1024, 3071)
    )  # the clean pool keeps every HU
    assert from_pack.draw(np.random.default_rng(0)).state.shape == (96, 112)


def test_margins_of_air_are_cut_off() -> None:
    hu = np.full((200, 300), -1000, np.int16)
    hu[60:120, 100:220] = 40
    rows, columns = pack._body(hu)
    # The columns in multiples of 16 with their margin of 16; the rows not below 192, around the body.
    assert (rows.start, rows.stop) == (0, 192)
    assert (columns.start, columns.stop) == (64, 64 + 192)
    wide = np.full((200, 500), -1000, np.int16)
    wide[:, 100:340] = 40
    assert pack._body(wide)[1] == slice(84, 84 + 272)
    assert pack._body(np.full((64, 64), -1000, np.int16)) == (slice(0, 64), slice(0, 64))


def test_slices_smaller_than_a_patch_are_left_out(config: TrainConfig, tmp_path: Path) -> None:
    here = packed(config, tmp_path / "ct.pack")
    large = replace(here, data=replace(here.data, patch=97))  # the toy slices have 96 rows
    assert len(pack.references(here, "train")) == 4
    assert pack.references(large, "train") == []


def test_a_pack_keeps_to_its_size_and_says_what_it_is(config: TrainConfig, tmp_path: Path) -> None:
    lines: list[str] = []
    path = pack.write(tmp_path / "small.pack", config, 0.2, lines.append)
    assert path.stat().st_size < 0.21e6
    assert len(lines) == 2
    assert "train: " in lines[0]
    with pytest.raises(UsageError, match="Not one item fits"):
        pack.write(tmp_path / "tiny.pack", config, 0.01)
    assert [p.name for p in tmp_path.iterdir()] == ["small.pack"]
    mr = replace(config, modality="mr", data=replace(config.data, pack=str(path)))
    with pytest.raises(UsageError, match="another modality"):
        pack.stacks(mr, "train")


def test_damaged_and_missing_packs(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "ct.pack"
    here = packed(config, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match="damaged"):
        CTSource(here)
    path.unlink()
    with pytest.raises(UsageError, match="no such pack.*train --pack"):
        CTSource(here)
