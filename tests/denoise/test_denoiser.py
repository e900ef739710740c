"""The denoiser with engines of closed form: what comes out, what is untouched, what the network is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import SIGMA, SIGMA_DATA, Averaging, PixelWiener, bundle, c_out, c_skip, ct_volume, hu, z
from networks import TINY, tiny_bundle
from scipy import ndimage

from medidiff import scratch
from medidiff.denoise import MODES, Denoiser, Settings
from medidiff.denoise.evaluator import FAR
from medidiff.denoise.noise_model import NoiseModel
from medidiff.diffusion import schedules
from medidiff.engines import EngineSettings
from medidiff.errors import CancelledError, ModelError, NoiseLevelError, UsageError
from medidiff.intensity import Intensity
from medidiff.models.bundle import Trained
from medidiff.models.conditioning import Condition, vector
from medidiff.noise.estimate import estimate
from medidiff.volume import Volume

pytest.importorskip("onnx", reason="onnx is not installed")
T = SIGMA / 500


def run(volume: Volume, engine: object | None = None, **settings: object):  # type: ignore[no-untyped-def]
    settings = {"sigma": SIGMA, **settings}
    return Denoiser(bundle(), engine or PixelWiener()).run(volume, Settings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_strength_zero_is_the_scan_bit_for_bit(mode: str) -> None:
    volume = ct_volume()
    volume.array[1, 3, 4] = np.nan
    volume.array[2, 5, 6] = 40000.0
    engine = PixelWiener()
    result = run(volume, engine, mode=mode, strength=0.0)
    assert result.volume.array.tobytes() == volume.array.tobytes()
    assert not engine.calls


def test_mean_is_the_networks_estimate() -> None:
    volume = ct_volume()
    result = run(volume)
    np.testing.assert_allclose(result.volume.array, hu(c_skip(T) * z(volume.array)), atol=2e-3)
    assert result.evaluations == 1
    assert result.sigma == SIGMA
    assert "given" in result.sigma_text
    assert "HU" in result.sigma_text
    np.testing.assert_array_equal(result.volume.affine, volume.affine)


@pytest.mark.parametrize("mode", ["mean", "natural"])
@pytest.mark.parametrize("strength", [0.25, 0.8])
def test_strength_blends_linearly(mode: str, strength: float) -> None:
    volume = ct_volume()
    full = run(volume, mode=mode).volume.array
    part = run(volume, mode=mode, strength=strength).volume.array
    np.testing.assert_allclose(part, strength * full + (1 - strength) * volume.array, atol=2e-3)


def test_natural_follows_the_ode() -> None:
    """x <- D + (t'/t)(x - D) with D = c_skip(t) x: a product of known factors."""
    volume = ct_volume()
    gain = 1.0
    levels = [T * tau for tau in schedules.quad(2, schedules.REST)]
    for t, t_next in zip(levels, levels[1:], strict=False):
        gain *= c_skip(t) + t_next / t * (1 - c_skip(t))
    out = run(volume, mode="natural").volume.array
    np.testing.assert_allclose(out, hu(gain * z(volume.array)), atol=5e-3)
    # It keeps more of what the mean takes away.
    assert c_skip(T) < gain < 1


def test_padding_nan_and_foreign_values_are_untouched() -> None:
    volume = ct_volume()
    array = volume.array
    array[0, 10, 10:14] = [np.nan, np.inf, -np.inf, -2000.0]
    array[1, 20, 20] = 3071.5
    array[3] = np.nan
    padding = np.zeros(array.shape, bool)
    padding[2, :, 50:] = True
    array[2, :, 50:] = -1024.0
    given = replace(volume, padding=padding)
    for mode in MODES:
        result = run(given, mode=mode, uncertainty=True, samples=2 if mode == "sample" else None)
        out, sd = result.volume.array, result.uncertainty
        kept = padding | ~((array >= -1024) & (array <= 3071))
        assert out[kept].tobytes() == array[kept].tobytes()
        assert np.isfinite(out[~kept]).all()
        assert (out[~kept] != array[~kept]).mean() > 0.99
        assert not sd[kept].any()
        assert (sd[~kept] > 0).all()


def test_values_stay_within_the_range_of_the_scan() -> None:
    class Loud(PixelWiener):
        def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
            return super().__call__(planes, condition) + 50.0

    volume = ct_volume()
    out = run(volume, Loud()).volume.array
    for k, plane in enumerate(volume.array):
        assert out[k].max() == plane.max()
        assert out[k].min() >= plane.min()


def test_uncertainty_is_the_calibrated_sd_of_the_variance_head() -> None:
    volume = ct_volume()
    calibrated = bundle(uncertainty=((0.01, 1.0), (1.0, 2.0)))
    denoiser = Denoiser(calibrated, PixelWiener(h=-1.0))  # type: ignore[arg-type]
    result = denoiser.run(volume, Settings(sigma=SIGMA, uncertainty=True))
    # ln 0.1 lies half way between ln 0.01 and ln 1.
    np.testing.assert_allclose(result.uncertainty, 500 * 1.5 * c_out(T) * np.exp(-0.5), rtol=1e-4)
    assert run(volume).uncertainty is None


def test_samples_scatter_by_the_posterior_variance() -> None:
    """For D = c_skip x the posterior variance is c_out^2; eight steps keep .88 of it (test_closed_form)."""
    volume = ct_volume((2, 64, 64))
    result = run(volume, mode="sample", samples=6, uncertainty=True)
    # The mean of six draws has a sixth of their variance itself.
    share = np.mean(result.uncertainty.astype(float) ** 2) / (1 + 1 / 6) / (500 * c_out(T)) ** 2
    assert 0.8 < share < 1.02
    single = [run(volume, mode="sample", seed=s).volume.array for s in (0, 1, 2)]
    mean = hu(c_skip(T) * z(volume.array))
    # A draw is the mean plus noise; two draws differ by twice the variance.
    assert np.std(single[0] - single[1]) == pytest.approx(np.sqrt(2 * share) * 500 * c_out(T), rel=0.05)
    assert np.mean(single[0] - mean) == pytest.approx(0, abs=3)


def test_samples_scatter_by_the_calibrated_variance() -> None:
    """A head that claims twice the SD, and the calibration that knows: samples as of a head that is right."""
    volume = ct_volume((1, 48, 48))
    settings = Settings(sigma=SIGMA, mode="sample", seed=3)
    halved = bundle(uncertainty=((0.01, 0.5), (1.0, 0.5)))
    claiming = PixelWiener(h=2.0 * np.log(2.0))
    known = Denoiser(halved, claiming).run(volume, settings).volume.array  # type: ignore[arg-type]
    right = Denoiser(bundle(), PixelWiener()).run(volume, settings).volume.array  # type: ignore[arg-type]
    np.testing.assert_allclose(known, right, atol=0.01)
    unknown = Denoiser(bundle(), claiming).run(volume, settings).volume.array  # type: ignore[arg-type]
    assert np.abs(unknown - right).max() > 1.0


def test_seed_decides_the_sample_and_nothing_else() -> None:
    volume = ct_volume((2, 48, 48))

    def bytes_of(mode: str, seed: int) -> bytes:
        return bytes(run(volume, Averaging(), mode=mode, seed=seed).volume.array.tobytes())

    assert bytes_of("sample", 3) == bytes_of("sample", 3)
    assert bytes_of("sample", 3) != bytes_of("sample", 4)
    assert bytes_of("natural", 3) == bytes_of("natural", 4)
    # Slices and draws have their own noise.
    twin = replace(volume, array=np.stack([volume.array[0]] * 2), adjacent=np.array([False]))
    out = run(twin, mode="sample").volume.array
    assert np.std(out[0] - out[1]) > 1


@pytest.mark.parametrize("roi", [None, ((1, 4), (5, 40), (0, 30))])
def test_arrays_in_files_change_no_value(roi: object, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = ct_volume((5, 48, 48))
    settings = {"mode": "natural", "uncertainty": True, "roi": roi}
    plain = run(volume, Averaging(), **settings)
    monkeypatch.setattr(scratch, "LARGE", 1)
    large = run(replace(volume, array=scratch.copy(volume.array)), Averaging(), **settings)
    np.testing.assert_array_equal(large.volume.array, plain.volume.array)
    np.testing.assert_array_equal(large.uncertainty, plain.uncertainty)


def test_slices_go_through_one_by_one() -> None:
    """Streaming: every call holds one slice, and a slice is finished before the next begins."""
    volume = ct_volume((5, 48, 48))
    engine = PixelWiener()
    seen: list[tuple[int, int, int]] = []
    denoiser = Denoiser(bundle(), engine)  # type: ignore[arg-type]
    settings = Settings(mode="natural", sigma=SIGMA)
    denoiser.run(volume, settings, progress=lambda k, n: seen.append((k, n, len(engine.calls))))
    assert seen == [(k, 5, 2 * k) for k in (1, 2, 3, 4, 5)]
    assert {planes.shape for planes, _ in engine.calls} == {(1, 4, 48, 48)}
    for k in range(5):
        np.testing.assert_allclose(
            engine.calls[2 * k][0][0, 0] * np.hypot(T, 0.9), z(volume.array[k]), atol=1e-5
        )


@pytest.mark.parametrize(
    ("settings", "per_slice"),
    [
        ({"mode": "mean"}, 1),
        ({"mode": "natural"}, 2),
        ({"mode": "natural", "steps": 3}, 3),
        ({"mode": "sample"}, 8),
        ({"mode": "sample", "samples": 3, "steps": 4}, 12),
        ({"mode": "sample", "uncertainty": True}, 64),
        ({"mode": "natural", "sigma": 1.9}, 1),
    ],
    ids=str,
)
def test_number_of_network_evaluations(settings: dict[str, object], per_slice: int) -> None:
    """As asked; one where there is too little noise for several. `sample` looks at the texture first."""
    engine = PixelWiener()
    result = run(ct_volume((3, 40, 40)), engine, **settings)
    texture = 3 if settings["mode"] == "sample" else 0
    assert len(engine.calls) == 3 * per_slice + texture
    assert result.evaluations == per_slice


def flat_slices(values: list[float], adjacent: list[bool] | None = None) -> Volume:
    """Slices that are told apart by their value, with independent noise."""
    volume = ct_volume((len(values), 48, 48))
    noise = volume.array - volume.array.mean((1, 2), keepdims=True)
    array = np.asarray(values, np.float32)[:, None, None] + 0.2 * noise
    return replace(
        volume, array=array.astype(np.float32), adjacent=None if adjacent is None else np.asarray(adjacent)
    )


def contexts(volume: Volume, **settings: object) -> list[tuple[float | None, float | None]]:
    """Mean HU of the context slices that the network saw for each slice, None where it saw none."""
    engine = PixelWiener()
    run(volume, engine, **settings)
    seen = []
    for planes, condition in engine.calls:
        flags = condition[0, -2:]
        means = [
            float(hu(planes[0, i] * np.hypot(T, 0.9)).mean()) if planes[0, i].any() else None for i in (1, 2)
        ]
        assert [m is not None for m in means] == flags.astype(bool).tolist()
        seen.append((means[0], means[1]))
    return seen


def test_context_is_the_adjacent_slices_in_order() -> None:
    values = [0.0, 100.0, 200.0, 300.0]
    assert contexts(flat_slices(values)) == [
        (None, pytest.approx(100, abs=1)),
        (pytest.approx(0, abs=1), pytest.approx(200, abs=1)),
        (pytest.approx(100, abs=1), pytest.approx(300, abs=1)),
        (pytest.approx(200, abs=1), None),
    ]
    gap = contexts(flat_slices(values, [True, False, True]))
    assert [(a is None, b is None) for a, b in gap] == [(True, False), (False, True)] * 2
    assert contexts(flat_slices([50.0])) == [(None, None)]


def test_overlapping_slices_take_context_from_further_away() -> None:
    rng = np.random.default_rng(1)
    fine = 40 + 70 * rng.standard_normal((7, 96, 96))
    array = (0.5 * (fine[1:] + fine[:-1])).astype(np.float32)
    engine = PixelWiener()
    result = run(replace(ct_volume(), array=array), engine)
    assert any("overlap" in n for n in result.notes)
    flags = [tuple(c[0, -2:].astype(bool)) for _, c in engine.calls]
    assert flags == [(False, True)] * 2 + [(True, True)] * 2 + [(True, False)] * 2
    np.testing.assert_allclose(hu(engine.calls[2][0][0, 1] * np.hypot(T, 0.9)), array[0], atol=0.01)
    assert not any("overlap" in n for n in run(ct_volume((4, 96, 96))).notes)


def test_the_network_is_told_level_texture_and_context() -> None:
    volume = ct_volume((3, 96, 96))
    texture = estimate(volume).kernel_frequency
    assert texture is not None
    engine = PixelWiener()
    run(volume, engine, mode="natural")
    for tau, (planes, condition) in zip(schedules.quad(2, schedules.REST), engine.calls[2:4], strict=False):
        told = Condition(T * tau, texture, 0.8, "ct", 1 / tau, previous=True, following=True)
        np.testing.assert_allclose(condition[0], vector(told), atol=1e-5)
        # Neighbours keep the scan's own noise; only their scale follows the level.
        np.testing.assert_allclose(planes[0, 1] * np.hypot(T * tau, 0.9), z(volume.array[0]), atol=1e-5)
        assert not planes[0, 3].any()


def test_neighbours_much_noisier_than_the_state_are_left_out() -> None:
    engine = PixelWiener()
    run(ct_volume((3, 48, 48)), engine, mode="sample", steps=8)
    levels = schedules.geo(8)[:-1]
    middle = engine.calls[-2 * len(levels) : -len(levels)]
    for tau, (planes, condition) in zip(levels, middle, strict=True):
        near = tau >= 1 / FAR
        assert bool(planes[0, 1].any()) == bool(planes[0, 2].any()) == near
        assert tuple(condition[0, -2:].astype(bool)) == (near, near)
        assert condition[0, -3] == pytest.approx(np.log(1 / tau) if near else 0.0, abs=1e-5)


def test_sigma_map_sets_level_and_relative_map() -> None:
    volume = ct_volume((2, 48, 48))
    sigma = np.ones(volume.array.shape, np.float32) * np.array([40, 80], np.float32)[:, None, None]
    sigma[:, :, :12] *= 0.5
    volume.array[:, 40:] = -1000.0  # air, where the map says nothing about the level
    sigma[:, 40:] = 7.0
    engine = PixelWiener()
    result = run(volume, engine, sigma=sigma)
    for k, level in enumerate((40, 80)):
        planes, condition = engine.calls[k]
        np.testing.assert_allclose(np.exp(planes[0, 3]), sigma[k] / level, rtol=1e-4)
        # Air of one value around the image comes back as it is.
        answer = np.where(volume.array[k] == -1000.0, -1000.0, hu(c_skip(level / 500) * z(volume.array[k])))
        np.testing.assert_allclose(result.volume.array[k], answer, atol=5e-3)
        assert condition[0, 0] == pytest.approx(vector(Condition(level / 500))[0], abs=1e-4)
    assert "map" in result.sigma_text
    with pytest.raises(UsageError, match="another shape"):
        run(volume, sigma=sigma[:1])


def test_a_map_of_mr_has_its_level_where_nothing_is_amplified() -> None:
    """A g-factor is 1 at the least: in training the level is that of g = 1, and so it is here."""
    rng = np.random.default_rng(0)
    g = np.linspace(1.0, 3.0, 48, dtype=np.float32)
    sigma = np.broadcast_to(20.0 * g, (2, 48, 48)).copy()
    sigma[0, :8] = 0.0  # outside of the object
    sigma[1] = 0.0
    volume = Volume(rng.uniform(300, 500, (2, 48, 48)).astype(np.float32), np.eye(4), "MR", "a.u.")
    found = NoiseModel.of(volume, sigma, "mr")
    assert found.of_slice(0) == pytest.approx(20.0 * (1 + 0.05 * 2), rel=0.02)
    assert found.of_slice(1) == found.of_slice(0)  # an empty slice takes the level of the others
    relative = found.relative(0)
    assert relative is not None
    np.testing.assert_allclose(relative[20], 20.0 * g / found.of_slice(0), rtol=1e-5)


def test_a_level_outside_the_training_is_held_and_told() -> None:
    volume = ct_volume((2, 40, 40))
    result = run(volume, sigma=400.0)
    low, high = bundle().trained.sigma
    np.testing.assert_allclose(result.volume.array, hu(c_skip(high) * z(volume.array)), atol=5e-3)
    assert any("outside the trained range" in n for n in result.notes)
    assert not run(volume).notes
    coarse = replace(volume, affine=np.diag([2.5, 2.5, 3.0, 1.0]))
    assert any("pixel size 2.5" in n for n in run(coarse).notes)


@pytest.mark.parametrize("pixel_mm", [0.1, 0.2, 5.0])
def test_pixels_outside_the_training_are_held_and_told(pixel_mm: float) -> None:
    """Told 0.1 mm, a network that has seen 0.5 mm and more takes hundreds of HU off."""
    volume = replace(ct_volume((1, 64, 64)), affine=np.diag([pixel_mm, pixel_mm, 3.0, 1.0]))
    engine = PixelWiener()
    model = bundle(trained=Trained((0.01, 0.5), (1.5, 4.0), (0.5, 1.4)))
    result = Denoiser(model, engine).run(volume, Settings(sigma=SIGMA))  # type: ignore[arg-type]
    _, condition = engine.calls[0]
    held = min(max(pixel_mm, 0.5), 1.4)
    assert condition[0, 11] == pytest.approx(np.log(held / 0.7), abs=1e-5)
    if condition[0, 10]:  # the noise frequency is known
        assert 1.5 - 1e-5 <= 3.0 * (condition[0, 9] + 1.0) <= 4.0 + 1e-5
    assert any("pixel size" in note for note in result.notes)


def test_noise_level_is_estimated_when_not_given() -> None:
    volume = ct_volume((3, 128, 128))
    result = run(volume, sigma=None)
    assert result.sigma == pytest.approx(SIGMA, rel=0.1)
    assert "auto" in result.sigma_text
    # Unknown modality: the model decides how the scan is read, the estimator included.
    unknown = run(replace(volume, modality="OT"), sigma=None)
    assert unknown.sigma == result.sigma
    np.testing.assert_array_equal(unknown.volume.array, result.volume.array)
    with pytest.raises(NoiseLevelError):
        run(replace(volume, array=np.full((2, 64, 64), -1000, np.float32)), sigma=None)


def test_shoulders_keep_their_own_level(rng: np.random.Generator) -> None:
    """A third of the slices with three times the noise: each part has the level that it was made with."""
    quiet = ct_volume((24, 96, 96))
    sigmas = np.where(np.arange(24) < 8, 48.0, 16.0)
    noise = sigmas[:, None, None] * rng.standard_normal(quiet.array.shape)
    found = NoiseModel.of(quiet.with_array((40.0 + noise).astype(np.float32)), None, "ct")
    levels = np.array([found.of_slice(k) for k in range(24)])
    np.testing.assert_allclose(levels, sigmas, rtol=0.15)


def test_cancelling_stops_before_the_next_slice() -> None:
    volume = ct_volume((4, 40, 40))
    engine = PixelWiener()
    with pytest.raises(CancelledError):
        Denoiser(bundle(), engine).run(  # type: ignore[arg-type]
            volume, Settings(sigma=SIGMA), cancelled=lambda: len(engine.calls) >= 2
        )
    assert len(engine.calls) == 2


@pytest.mark.parametrize(("modality", "scan"), [("ct", "MR"), ("mr", "CT"), ("ct", "PT"), ("mr", "PT")])
def test_a_model_refuses_other_modalities(modality: str, scan: str) -> None:
    with pytest.raises(ModelError, match=modality.upper()):
        Denoiser(bundle(modality), PixelWiener()).run(ct_volume(modality=scan), Settings(sigma=5.0))  # type: ignore[arg-type]


def test_input_is_never_changed() -> None:
    volume = ct_volume()
    volume.array[0, 8, 8] = np.nan
    before = volume.array.tobytes()
    for mode in MODES:
        out = run(volume, mode=mode).volume.array
        assert not np.shares_memory(out, volume.array)
    assert volume.array.tobytes() == before


def mr_volume(sigma: float = 20.0) -> Volume:
    rng = np.random.default_rng(3)
    signal = np.zeros((2, 96, 96))
    signal[:, 20:76, 20:76] = 1000.0
    signal[:, 40:50, 40:50] = 600.0
    real, imaginary = sigma * rng.standard_normal((2, *signal.shape))
    noisy = np.hypot(signal + real, imaginary)
    return Volume(noisy.astype(np.float32), np.diag([1.0, 1.0, 3.0, 1.0]), "MR", "a.u.")


def test_mr_scales_by_the_volume_and_calms_down_in_the_background() -> None:
    """Multi-step states below SNR 2 are no magnitude images: there, the posterior mean is returned."""
    volume = mr_volume()
    model = bundle("mr", trained=Trained((0.002, 0.2), (1.0, 2.0), (0.5, 2.0)))
    scale = model.intensity(volume).scale
    t = 20.0 / scale
    out = {
        mode: Denoiser(model, PixelWiener()).run(volume, Settings(mode=mode, sigma=20.0)).volume.array  # type: ignore[arg-type]
        for mode in ("mean", "natural")
    }
    lowest = volume.array.min((1, 2), keepdims=True)
    np.testing.assert_allclose(out["mean"], np.maximum(c_skip(t) * volume.array, lowest), rtol=1e-5)
    quiet = volume.array * c_skip(t) < 2 * 20.0
    strong = volume.array * c_skip(t) > 4 * 20.0
    np.testing.assert_array_equal(out["natural"][quiet], out["mean"][quiet])
    assert (out["natural"][strong] > out["mean"][strong]).all()


@pytest.mark.parametrize("mode", ["mean", "natural"])
def test_tiles_do_not_show(mode: str) -> None:
    """A real network of random weights: 64-pixel tiles equal the whole slice, with an odd size to boot."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    from medidiff.engines.openvino import OpenVINOEngine

    model = tiny_bundle(TINY)
    engine = OpenVINOEngine(model, EngineSettings(1, "float32"))
    array = ndimage.gaussian_filter(ct_volume((2, 171, 150)).array, (0, 0.7, 0.7))
    volume = replace(ct_volume(), array=array)
    results = [
        Denoiser(model, engine).run(volume, Settings(mode=mode, sigma=SIGMA, tile=tile, uncertainty=True))
        for tile in (64, 1024)
    ]
    whole = results[1].volume.array
    assert np.abs(whole - array).mean() > 1.0
    # 1e-4 in network units is 0.05 HU.
    np.testing.assert_allclose(results[0].volume.array, whole, atol=0.05)
    np.testing.assert_allclose(results[0].uncertainty, results[1].uncertainty, atol=0.05)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": "best"}, "mean, natural, sample"),
        ({"mode": "mean", "steps": 4}, "one step"),
        ({"mode": "natural", "steps": 0}, "at least 1"),
        ({"mode": "natural", "samples": 3}, "mode sample"),
        ({"mode": "sample", "samples": 0}, "at least 1"),
        ({"strength": 1.5}, "between 0 and 1"),
        ({"strength": float("nan")}, "between 0 and 1"),
        ({"sigma": -3.0}, "positive"),
        ({"sigma": float("inf")}, "positive"),
        ({"sigma": np.zeros((2, 2, 2), np.float32)}, "noise map"),
        ({"sigma": np.full((2, 2, 2), np.nan, np.float32)}, "noise map"),
        ({"seed": -1}, "seed"),
        ({"tile": 8}, "64"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Settings(**settings)  # type: ignore[arg-type]


def test_air_below_the_range_is_noisy_image_padding_is_not() -> None:
    """A scanner that does not clip stores air noise below -1024 HU; left alone it would be black specks."""
    volume = ct_volume()
    volume.array[0, 10, 10:12] = [-1024.0 - 3.0 * SIGMA, -1024.0 - 5.0 * SIGMA]
    out = run(volume).volume.array[0, 10, 10:12]
    assert out[0] >= -1024.0
    assert out[1] == volume.array[0, 10, 11]


def test_a_very_noisy_scan_does_not_swallow_its_padding() -> None:
    volume = ct_volume()
    volume.array[0, 10, 10] = -2000.0
    assert run(volume, sigma=250.0).volume.array[0, 10, 10] == -2000.0


def test_the_floor_of_several_coils_is_taken_out() -> None:
    """E[m^2] = A^2 + 2 L sigma^2: what is left of a flat field after L coils is A again."""
    signal, sigma, coils = 300.0, 40.0, 8
    rng = np.random.default_rng(0)
    channels = rng.standard_normal((2 * coils, 2, 96, 96)) * sigma
    channels[0] += signal
    magnitude = np.sqrt((channels**2).sum(0)).astype(np.float32)
    volume = Volume(magnitude, np.diag([1.0, 1.0, 3.0, 1.0]), "MR", "a.u.")

    class Flat(PixelWiener):
        """The network's ideal answer to flat magnitudes: their mean without one coil's floor."""

        def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
            out = super().__call__(planes, condition)
            scale = Intensity.for_volume("mr", volume).scale
            t = sigma / scale
            x = planes[:, 0] * np.hypot(t, SIGMA_DATA)
            D = np.sqrt((x**2).mean() - 2 * t**2)
            out[:, 0] = (D - c_skip(t) * x) / c_out(t)
            return out

    def level(coils: int) -> float:
        settings = Settings(sigma=sigma, coils=coils)
        result = Denoiser(bundle("mr", sigma_data=SIGMA_DATA), Flat()).run(volume, settings)
        return float(result.volume.array.mean())

    assert level(1) == pytest.approx(np.hypot(signal, np.sqrt(2 * (coils - 1)) * sigma), rel=0.01)
    assert level(coils) == pytest.approx(signal, rel=0.01)


def test_the_floor_of_many_coils_goes_below_the_lowest_value_of_the_scan() -> None:
    """The floor lifts all values: the darkest of the scan is no lower bound of what is under it."""
    sigma, coils = 40.0, 16
    rng = np.random.default_rng(0)
    channels = rng.standard_normal((2 * coils, 1, 64, 64)) * sigma
    channels[0, :, 32:] += 2000.0
    magnitude = np.sqrt((channels**2).sum(0)).astype(np.float32)
    assert magnitude.min() > 80.0
    volume = Volume(magnitude, np.diag([1.0, 1.0, 3.0, 1.0]), "MR", "a.u.")
    found = [
        Denoiser(bundle("mr"), PixelWiener()).run(volume, Settings(sigma=sigma, coils=n)).volume.array  # type: ignore[arg-type]
        for n in (1, coils)
    ]
    assert found[0].min() == magnitude.min()
    assert np.median(found[1][0, :30]) < 0.5 * magnitude.min()
    assert found[1].min() >= 0.0


def test_signed_mr_is_told_and_what_is_negative_comes_back(rng: np.random.Generator) -> None:
    """As z-scored images are: no noise of a magnitude carries it below 0."""
    volume = mr_volume()
    scored = volume.with_array((volume.array - volume.array.mean()) / volume.array.std())
    result = Denoiser(bundle("mr"), PixelWiener(h=1.0)).run(scored, Settings(sigma=0.2))  # type: ignore[arg-type]
    below = scored.array < 0
    np.testing.assert_array_equal(result.volume.array[below], scored.array[below])
    assert any("negative" in note for note in result.notes)
    plain = Denoiser(bundle("mr"), PixelWiener()).run(volume, Settings(sigma=20.0))  # type: ignore[arg-type]
    assert not any("negative" in note for note in plain.notes)


def test_only_mr_has_coils() -> None:
    with pytest.raises(UsageError, match="coils"):
        Denoiser(bundle(), PixelWiener()).run(ct_volume((1, 48, 56)), Settings(sigma=50.0, coils=4))
    with pytest.raises(UsageError, match="coils"):
        Settings(coils=0)
