"""Bundles of other processes: sampled as they were trained; guidance only where it does not count twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fakes import SIGMA, SIGMA_DATA, PixelWiener, Posterior, bundle, c_out, c_skip, ct_volume, hu, z

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.consistency import gain_of
from medidiff.diffusion.schedules import FAST_DDPM, uniform
from medidiff.errors import UsageError
from medidiff.models.conditioning import SCAN_WIDTH, Condition, vector
from medidiff.models.processes import BRIDGE_SD, PROCESSES
from medidiff.volume import Volume

pytest.importorskip("onnx", reason="onnx is not installed")
T = SIGMA / 500


def run(process: str, volume: Volume, engine: object | None = None, **settings: object):  # type: ignore[no-untyped-def]
    model = bundle(process=process)
    asked = Settings(**{"sigma": SIGMA, **settings})  # type: ignore[arg-type]
    return Denoiser(model, engine or PixelWiener()).run(volume, asked)  # type: ignore[arg-type]


def test_mixing_rebuilds_each_state_from_the_estimate_and_the_scan() -> None:
    """x' = (1 - s') D + s' y at t = s t_y, D = c_skip(t) x: a product of known factors."""
    volume, gain = ct_volume(), 1.0
    for s, s_next in pairwise(uniform(5)):
        gain = (1 - s_next) * c_skip(s * T) * gain + s_next
    result = run("mixing", volume, mode="natural", steps=5)
    np.testing.assert_allclose(result.volume.array, hu(gain * z(volume.array)), atol=5e-3)
    assert result.evaluations == 5


def test_bridge_walks_back_from_the_scan() -> None:
    """The deterministic step with coefficients (1 - s, s, 2 b sqrt(s (1 - s))) and D = c_skip(t) x."""
    volume, gain = ct_volume(), 1.0
    b = BRIDGE_SD * T
    for s, s_next in pairwise(uniform(4)):
        now, then = (2 * b * np.sqrt(u * (1 - u)) for u in (s, s_next))
        keep = then / now if now else 0.0
        wiener = c_skip(float(np.hypot(s * T, now)))
        gain = ((1 - s_next) - keep * (1 - s)) * wiener * gain + keep * gain + s_next - keep * s
    out = run("bridge", volume, mode="natural", steps=4).volume.array
    np.testing.assert_allclose(out, hu(gain * z(volume.array)), atol=5e-3)
    drawn = [run("bridge", volume, mode="sample", seed=seed).volume.array for seed in (0, 1)]
    assert np.std(drawn[0] - drawn[1]) > 1.0


def test_ddpm_gives_the_network_the_scan_and_its_level() -> None:
    volume, engine = ct_volume((1, 48, 48)), Posterior()
    run("ddpm", volume, engine, mode="natural", steps=10)
    assert len(engine.calls) == len(FAST_DDPM) - 1
    for planes, condition in engine.calls:
        assert planes.shape[1] == 5
        assert condition.shape[1] == SCAN_WIDTH
        np.testing.assert_allclose(planes[0, 4] * np.hypot(T, SIGMA_DATA), z(volume.array[0]), atol=1e-5)
        assert condition[0, -1] == vector(Condition(0.5, scan_sigma=T))[-1]
    levels = [float(np.exp(4 * c[0, -2])) for _, c in engine.calls]
    assert levels[0] == pytest.approx(157, rel=0.02)  # sqrt(1 / alpha_bar - 1) after 1000 levels
    assert levels == sorted(levels, reverse=True)


def test_ddpm_answers_are_those_of_the_posterior() -> None:
    """An exact network: the mean is the Wiener estimate, draws scatter by its variance."""
    volume = centred()
    mean = run("ddpm", volume, Posterior(), mode="mean").volume.array
    inside = volume.array > -1000.0
    np.testing.assert_allclose(mean[inside], hu(c_skip(T) * z(volume.array))[inside], atol=0.5)
    draws = [run("ddpm", volume, Posterior(), mode="sample", steps=20, seed=s).volume.array for s in (0, 1)]
    spread = np.std(draws[0] - draws[1]) / np.sqrt(2)
    assert spread == pytest.approx(500 * c_out(T), rel=0.15)
    assert np.mean(draws[0] - mean) == pytest.approx(0.0, abs=2.0)


def centred() -> Volume:
    """White anatomy around z = 0 under white noise, within the model's range."""
    rng = np.random.default_rng(3)
    x = np.clip(0.3 * rng.standard_normal((2, 128, 128)), -1.0, 1.0)
    return replace(
        ct_volume((2, 128, 128)), array=hu(x + T * rng.standard_normal(x.shape)).astype(np.float32)
    )


class WeakPrior(PixelWiener):
    """Knows that anatomy is white with SD 0.3, and has not seen the scan."""

    def __call__(self, planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        out = super().__call__(planes, condition)
        t = float(np.exp(4.0 * condition[0, -2]))
        x = planes[:, 0] * np.hypot(t, SIGMA_DATA)
        wiener = 0.09 / (0.09 + t**2)
        out[:, 0] = (wiener - c_skip(t)) * x / c_out(t)
        out[:, 1] = np.log(wiener * t**2 / c_out(t) ** 2)
        return out


def test_guidance_turns_a_prior_into_the_posterior() -> None:
    """From pure noise D = 0 with variance 0.09; consistency with the scan makes it the Wiener estimate."""
    volume = centred()
    engine = WeakPrior()
    result = run("prior", volume, engine, uncertainty=True)
    assert engine.calls[0][0].shape[1] == 4
    assert not np.allclose(engine.calls[0][0][0, 0], z(volume.array[0]), atol=0.5)  # the network saw noise
    y, out = z(volume.array), z(result.volume.array)
    wanted = 0.09 / (0.09 + T**2)
    # Per frequency the spectra are measured from the scan, so the regression holds within some per cent.
    assert (out * y).sum() / (y * y).sum() == pytest.approx(wanted, abs=0.03)
    assert np.corrcoef(out.ravel(), y.ravel())[0, 1] > 0.99
    posterior = 500 * np.sqrt(0.09 * T**2 / (0.09 + T**2))
    factor = bundle(process="prior").uncertainty_factor(T)
    assert float(result.uncertainty.mean()) == pytest.approx(factor * posterior, rel=0.06)
    less = z(run("prior", volume, WeakPrior(), guidance=0.3).volume.array)
    assert (less * y).sum() / (y * y).sum() == pytest.approx(0.3 * wanted, abs=0.03)
    drawn = run("prior", volume, WeakPrior(), mode="sample", steps=10).volume.array
    assert np.std(z(drawn) - y) < 2.0 * T  # it is this scan, not another one


@pytest.mark.parametrize("process", [p for p, kind in PROCESSES.items() if kind.uses_scan])
def test_guidance_is_refused_where_the_scan_is_used_already(process: str) -> None:
    with pytest.raises(UsageError, match=r"used the scan already.*twice.*--guidance 0.5.*use --strength"):
        run(process, ct_volume(), guidance=0.5)
    assert gain_of(bundle(process=process), None) == gain_of(bundle(process=process), 0.0) == 0.0


def test_a_prior_without_guidance_is_refused() -> None:
    with pytest.raises(UsageError, match="would invent one"):
        run("prior", ct_volume(), guidance=0.0)
    assert gain_of(bundle(process="prior"), None) == 1.0


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_guidance_is_a_share(value: float) -> None:
    with pytest.raises(UsageError, match="guidance must lie between 0 and 1"):
        Settings(guidance=value)


@pytest.mark.parametrize("process", list(PROCESSES))
@pytest.mark.parametrize("mode", ["mean", "natural", "sample"])
def test_the_seed_alone_decides(process: str, mode: str) -> None:
    volume = ct_volume((1, 48, 48))
    engine = Posterior if process == "ddpm" else PixelWiener
    a, b = (run(process, volume, engine(), mode=mode, seed=4).volume.array.tobytes() for _ in range(2))
    assert a == b


def test_the_command_line_refuses_before_it_writes(tmp_path: Path) -> None:
    """The sentence says what to do, the code is that of usage, nothing is made."""
    import nibabel
    from click.testing import CliRunner

    from medidiff.cli.main import main
    from medidiff.models import save

    save(bundle(name="ct"), tmp_path / "ct")
    image = nibabel.Nifti1Image(ct_volume((4, 64, 64)).array.T, np.diag([0.8, 0.8, 3.0, 1.0]))
    nibabel.save(image, tmp_path / "scan.nii.gz")
    words = ["denoise", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out"), "--modality", "ct"]
    done = CliRunner().invoke(main, [*words, "--model", str(tmp_path / "ct"), "--guidance", "0.5"])
    assert done.exit_code == 2
    assert "count it twice. Received: --guidance 0.5. Leave out --guidance." in done.output
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.nii*"))
