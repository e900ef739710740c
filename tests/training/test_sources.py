"""From scans on disk to samples: manifest, CT cache, MR stacks; and the validator that scores with them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from ct_items import body
from scipy import ndimage
from toy import ToySource, toy_config

from medidiff.errors import NoImageError
from medidiff.noise import mr
from medidiff.training import ct_cache, ct_task
from medidiff.training.config import TrainConfig
from medidiff.training.mr_source import LEAST_INSERTED, MOST_INSERTED, MRSource, simulate_slice
from medidiff.training.scans import list_scans
from medidiff.training.validation import Validator

THICKNESS, SPACING = 5.0, 2.0


def save_nifti(path: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """``[z, y, x]`` with spacing (z, y, x)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: a CT of overlapping slices and an isotropic MR volume for training, with manifests."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    ct = np.stack([body((80, 88)) + 20 * rng.standard_normal((80, 88)) for _ in range(10)])
    (root / "ct/val/x").mkdir(parents=True)
    (root / "ct/val/x/0001.dcm").write_bytes(b"")
    save_nifti(root / "ct/train/one/ct_scan.nii.gz", np.rint(ct).astype(np.int16), (SPACING, 0.8, 0.8))
    ball = np.indices((72, 72, 72)) - 35.5
    signal = np.where(np.sqrt((ball**2).sum(0)) < 30, 800.0, 0.0)
    signal[20:30, 30:40, 30:45] = 500.0
    signal = ndimage.gaussian_filter(signal, 0.6)
    noisy = np.hypot(signal + rng.normal(0, 8, signal.shape), rng.normal(0, 8, signal.shape))
    save_nifti(root / "mr/train/two/t1.nii.gz", noisy.astype(np.float32), (1.0, 1.0, 1.0))
    rows = {
        "ct": [
            ["train", "a", "train/one/ct_scan.nii.gz", "P1", THICKNESS],
            ["val", "a", "val/x/0001.dcm", "P2", 1.0],
        ],
        "mr": [["train", "b", "train/two/t1.nii.gz", "S1", ""]],
    }
    for modality, lines in rows.items():
        with (root / modality / "manifest.csv").open("w", newline="") as file:
            out = csv.writer(file)
            who = "patient" if modality == "ct" else "subject"
            out.writerow(["role", "source", "path", who, "thickness_mm"])
            out.writerows(lines)
    return root


@pytest.fixture
def config(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    monkeypatch.delenv("MEDIDIFF_DATA", raising=False)
    made = toy_config(tmp_path)
    cache = str(tmp_path / "cache")
    return replace(made, data=replace(made.data, root=str(data), cache=cache, views=24, max_slices=12))


def test_the_manifest_splits_by_role(data: Path) -> None:
    (scan,) = list_scans(data, "ct", "train")
    assert (scan.patient, scan.source, scan.thickness_mm) == ("P1", "a", THICKNESS)
    assert scan.path == data / "ct/train/one/ct_scan.nii.gz"
    (slices,) = list_scans(data, "ct", "val")
    assert (slices.patient, slices.path) == ("P2", data / "ct/val/x"), "a slice stands for its folder"
    assert list_scans(data, "mr", "train")[0].thickness_mm == 0.0
    with pytest.raises(NoImageError, match="'val'"):
        list_scans(data, "mr", "val")
    with pytest.raises(NoImageError, match="no such folder.*docs/training.md"):
        list_scans(data / "ct", "ct", "train")


def test_ct_cache_is_made_once_and_holds_what_it_says(config: TrainConfig) -> None:
    seen: list[int] = []
    target = ct_cache.prepare(config, "train", progress=seen.append, workers=1)
    files = sorted(target.glob("*.npz"))
    items = [ct_cache.load(f) for f in files]
    slices, clean = ([i for i in items if i.clean is c] for c in (False, True))
    assert seen == [len(files)]
    assert (len(slices), len(clean)) == (
        4,
        3,
    )  # a third of max_slices for a small matrix; three slabs of three
    for i in items:
        assert i.hu.shape == (3, *i.bases.shape[1:])
        assert i.relative_sd.shape == i.bases.shape[1:]
        assert i.pixel_mm == pytest.approx(0.8)
        soft = (i.hu[1] > -50) & (i.hu[1] < 150)
        sd = np.sqrt(np.mean((i.bases.astype(float) / i.relative_sd.astype(float))[:, soft] ** 2, axis=1))
        np.testing.assert_allclose(sd, 1.0, atol=0.12)
        assert abs(np.corrcoef(i.bases[0].ravel(), i.bases[1].ravel())[0, 1]) < 0.1
    assert clean[0].hu.shape == (3, 40, 44)
    # 5 mm slices every 2 mm: a neighbour that shares no noise is three slices away.
    assert [i.present.tolist() for i in slices] == [[k >= 3, True, k + 3 < 10] for k in (0, 3, 6, 9)]
    np.testing.assert_array_equal(slices[1].hu[0], slices[0].hu[1])
    stamp = [f.stat().st_mtime_ns for f in files]
    ct_cache.prepare(config, "train", workers=1)
    assert stamp == [f.stat().st_mtime_ns for f in files]


def test_relative_sd_follows_the_noise() -> None:
    rng = np.random.default_rng(2)
    true = np.broadcast_to(np.linspace(0.6, 1.6, 128), (128, 128))
    noise = (true * rng.standard_normal((6, 128, 128))).astype(np.float32)
    found = ct_task.relative_sd(noise, np.full((128, 128), 40.0, np.float32), 0.7)
    assert np.median(found[10:-10, 10:-10]) == pytest.approx(1.0, abs=0.02)
    ratio = (found / true)[16:-16, 16:-16]
    assert ratio.std() / ratio.mean() < 0.06


def test_mr_stacks_come_in_three_orientations(config: TrainConfig) -> None:
    levels_of = replace(config.data, sigma=(0.02, 0.15), low_sigma=0.002)
    source = MRSource(replace(config, modality="mr", sigma_data=0.3, data=levels_of))
    assert len(source.stacks) == 3
    for stack in source.stacks:
        assert 50 < len(stack.slices) < 72  # slices of air at the ends are left out
        assert stack.pixel_mm == pytest.approx(1.0)
        assert stack.sigma == pytest.approx(0.01, rel=0.35)
        assert np.percentile(stack.slices[len(stack.slices) // 2], 99) == pytest.approx(1.0, abs=0.1)
    rng = np.random.default_rng(3)
    drawn = [source.draw(rng) for _ in range(60)]
    levels = np.array([s.sigma for s in drawn])
    assert levels.min() >= 0.002
    assert levels.max() < 0.16
    assert np.median(levels) > 0.02
    again = np.random.default_rng(3)
    np.testing.assert_array_equal(source.draw(again).state, drawn[0].state)
    assert all(s.modality == "mr" and not s.excess.any() and s.worth.any() for s in drawn)
    # A scan's own noise is told where at least twice as much was inserted, else it is a part of the truth.
    own = np.array([s.reference_sigma for s in drawn])
    assert np.isclose(own, 0.0).any()
    assert (own[own > 0] / levels[own > 0]).max() <= 1 / np.hypot(1.0, LEAST_INSERTED) + 1e-9


def test_mr_noise_like_the_scans_own(config: TrainConfig) -> None:
    data = replace(config.data, sigma=(0.02, 0.15), low_sigma=0.002, own_share=1.0)
    run = replace(config, modality="mr", sigma_data=0.3, data=data)
    source, rng = MRSource(run), np.random.default_rng(3)
    drawn = [source.draw(rng) for _ in range(30)]
    assert all(s.excess.any() and 0.0 < s.reference_sigma <= s.sigma * np.sqrt(0.5) + 1e-9 for s in drawn)
    assert np.median([s.reference_sigma / s.sigma for s in drawn]) > 0.2


def test_no_noise_nearly_as_strong_as_the_scans_own_where_the_own_is_left(config: TrainConfig) -> None:
    data = replace(config.data, sigma=(0.06, 0.15), low_sigma=0.002, low_share=1.0, own_share=1e-9)
    source = MRSource(replace(config, modality="mr", sigma_data=0.3, data=data))
    own = max(s.sigma for s in source.stacks)
    assert 0.005 < own < 0.02
    rng = np.random.default_rng(3)
    levels = [source.draw(rng).sigma for _ in range(40)]
    brightest = np.exp(0.3) * 2.0  # gain, and shading that leaves a part of the scan bright
    assert min(levels) >= 0.002
    assert max(levels) <= MOST_INSERTED * own * brightest
    assert np.median(levels) < 0.6 * own
    assert max(source._sigma(0.0, rng) for _ in range(40)) > 0.04


def test_mr_slices_tell_the_total_noise() -> None:
    """The network is told sqrt(own^2 + added^2); in strong signal the noise SD is that of one channel."""
    rng = np.random.default_rng(4)
    clean = np.full((3, 96, 96), 0.8, np.float32)
    s = simulate_slice(clean, 0.03, mr.MRNoise(0.04), 1.0, rng)
    assert s.sigma == pytest.approx(0.05)
    assert (s.state - s.target).std() == pytest.approx(0.04, rel=0.03)
    np.testing.assert_allclose(s.target, clean[1])
    ratios = []
    for _ in range(60):
        s = simulate_slice(clean, 0.0, mr.MRNoise(0.02), 1.0, rng)
        assert s.previous is not None
        if s.previous.all():  # not the background-masked kind
            assert (s.previous - 0.8).std() == pytest.approx(s.neighbour_sigma, rel=0.15)
        ratios.append(s.neighbour_sigma / s.sigma)
    assert 0.1 < np.mean(np.array(ratios) > 1.001) < 0.5


def test_the_truth_keeps_what_only_the_number_of_coils_would_tell() -> None:
    """E[m^2] = truth^2 + 2 sigma^2 whatever the number of coils: one rule for the network to learn."""
    rng = np.random.default_rng(5)
    for coils in (1, 4, 16):
        clean = np.full((3, 128, 128), 0.3, np.float32)
        slices = [simulate_slice(clean, 0.0, mr.MRNoise(0.05, coils=coils), 1.0, rng) for _ in range(6)]
        for s in [s for s in slices if s.state.all()]:  # not the background-masked kind
            floor = float((s.state.astype(np.float64) ** 2).mean()) - 2 * 0.05**2
            assert floor == pytest.approx(float((s.target.astype(np.float64) ** 2).mean()), rel=0.02)
        assert s.target.max() == pytest.approx(np.sqrt(0.3**2 + 2 * (coils - 1) * 0.05**2), rel=1e-4)


@pytest.mark.parametrize("target_noise", [0.0, 0.1])
def test_validator_measures_the_gain_over_the_truth(tmp_path: Path, target_noise: float) -> None:
    """D with half of the noise left gains 6.02 dB, also where the target is itself noisy and says so."""
    made = Validator.make(toy_config(tmp_path), ToySource(), slices=40)
    rng = np.random.default_rng(0)
    truth = made.samples.target
    target = truth + target_noise * rng.standard_normal(truth.shape).astype(np.float32)
    noisy = replace(made.samples, target=target, excess=np.full_like(truth, target_noise**2))
    validator = replace(made, samples=noisy)
    told = noisy.sigma_told[:, None, None]
    left = 0.5 * noisy.sigma[:, None, None]
    F = made.precondition.target(truth + left * rng.standard_normal(truth.shape), noisy.state, told)
    h = np.broadcast_to(2 * np.log(left / made.precondition.c_out(told)), F.shape)
    outputs = iter(np.array_split(np.stack([F, h], -1).astype(np.float32), range(16, len(noisy), 16)))

    figures, estimate = validator.run(lambda planes, condition: next(outputs))
    assert estimate.shape == target.shape
    assert [figures[f"gain_q{b}"] for b in (1, 2, 3, 4)] == pytest.approx([6.02] * 4, abs=0.15)
    assert figures["gain"] == pytest.approx(6.02, abs=0.1)
    assert figures["calibration"] == pytest.approx(1.0, abs=0.03)
    panel = validator.panel(estimate)
    assert panel.shape == (1, 6 * 32, 4 * 32, 1)
    assert 0 <= panel.min() < panel.max() <= 1


def test_validation_noise_is_the_same_for_every_run(tmp_path: Path) -> None:
    first, second = (
        Validator.make(replace(toy_config(tmp_path), seed=s), ToySource(), slices=3).samples for s in (1, 2)
    )
    for a, b in zip(first.arrays(), second.arrays(), strict=True):
        np.testing.assert_array_equal(a, b)
