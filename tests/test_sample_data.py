"""The committed sample scans: complete, conformant, physically what the README of sample_data says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pydicom
import pytest

from medidiff import io
from medidiff.noise.ct import soft_tissue
from medidiff.noise.spectrum import Kernel, hann_patches, noise_power_spectrum
from medidiff.volume import Volume

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
SERIES = ("truth", "dose25", "dose10")


@pytest.fixture(scope="module")
def ct() -> dict[str, Volume]:
    found = io.discover([SAMPLE / "ct"])
    assert not found.skipped
    return {item.path.name: io.read(item) for item in found.items}


@pytest.fixture(scope="module")
def mr() -> dict[str, Volume]:
    found = io.discover([SAMPLE / "mr"])
    assert {s.reason for s in found.skipped} == {io.Reason.SIDECAR}
    return {item.path.name.split(".")[0]: io.read(item) for item in found.items}


@pytest.fixture
def script() -> Iterator[ModuleType]:
    before = set(sys.modules)
    sys.path.insert(0, str(SAMPLE))
    try:
        import make_sample_data

        yield make_sample_data
    finally:
        sys.path.remove(str(SAMPLE))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(SAMPLE)):
                del sys.modules[name]


def test_the_files_are_these_and_small() -> None:
    expected = {f"ct/{s}/{k:03d}.dcm" for s in SERIES for k in range(1, 13)}
    expected |= {f"mr/{name}{ending}" for name in ("truth", "noisy") for ending in (".nii.gz", ".json")}
    files = [p for folder in ("ct", "mr") for p in (SAMPLE / folder).rglob("*") if p.is_file()]
    assert {str(p.relative_to(SAMPLE)) for p in files} == expected
    assert sum(p.stat().st_size for p in files) < 8e6


def test_ct_reads_as_three_series_on_one_grid(ct: dict[str, Volume]) -> None:
    assert set(ct) == set(SERIES)
    for volume in ct.values():
        assert volume.array.shape == (12, 384, 384)
        assert volume.modality == "CT"
        assert volume.unit == "HU"
        assert volume.spacing == pytest.approx((5.0, 0.9, 0.9))
        assert np.array_equal(volume.affine, ct["truth"].affine)
        assert volume.array.min() >= -1024
        assert volume.array.max() <= 3071


def test_ct_is_one_study_of_a_fictional_patient() -> None:
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(SAMPLE.glob("ct/*/*.dcm"))]
    assert {str(h.PatientName) for h in headers} == {"Phantom^Medidiff"}
    assert len({h.StudyInstanceUID for h in headers}) == 1
    assert len({h.FrameOfReferenceUID for h in headers}) == 1
    assert len({h.SeriesInstanceUID for h in headers}) == 3
    assert len({h.SOPInstanceUID for h in headers}) == len(headers)
    for h in headers:
        for keyword in ("KVP", "ConvolutionKernel", "SliceThickness", "WindowCenter", "PatientPosition"):
            assert h[keyword].value


def test_ct_truth_spans_air_fat_tissue_and_bone(ct: dict[str, Volume]) -> None:
    truth = ct["truth"].array
    body = truth[:, 60:300, 20:365]  # above the couch
    for low, high, share in ((-960, -750, 0.05), (-140, -70, 0.05), (40, 180, 0.2), (400, 1500, 0.003)):
        assert np.mean((body >= low) & (body <= high)) > share, (low, high)
    # Lung in the upper slices, none to speak of in the lowest one.
    lung = ((body > -950) & (body < -700)).sum((1, 2))
    assert lung[-1] > 8 * lung[0]


@pytest.mark.parametrize(("name", "dose"), [("dose25", 0.25), ("dose10", 0.10)])
def test_ct_noise_level_of_each_slice(ct: dict[str, Volume], name: str, dose: float) -> None:
    truth = ct["truth"].array
    noise = ct[name].array - truth
    for k, plane in enumerate(truth):
        mask = soft_tissue(plane)
        # 12 HU at full dose; electronic noise adds a few per cent.
        assert noise[k][mask].std() == pytest.approx(12.0 / np.sqrt(dose), rel=0.06)
        assert abs(noise[k][mask].mean()) < 0.5


def test_ct_variance_goes_as_one_over_dose(ct: dict[str, Volume]) -> None:
    truth = ct["truth"].array
    mask = np.stack([soft_tissue(s) for s in truth])
    low, high = ((ct[s].array - truth)[mask].std() for s in ("dose10", "dose25"))
    assert low / high == pytest.approx(np.sqrt(2.5), rel=0.05)


def test_ct_noise_is_independent_between_slices_and_doses(ct: dict[str, Volume]) -> None:
    truth = ct["truth"].array
    noise = {s: (ct[s].array - truth)[:, 120:260, 80:300] for s in ("dose10", "dose25")}
    pairs = [(noise["dose10"][k], noise["dose10"][k + 1]) for k in range(11)]
    pairs += list(zip(noise["dose10"], noise["dose25"], strict=True))
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.04


def test_ct_noise_spectrum_is_the_ramp_times_the_kernel(ct: dict[str, Volume]) -> None:
    noise = (ct["dose10"].array - ct["truth"].array)[:, 100:280, 70:310]
    measured = noise_power_spectrum(np.concatenate([hann_patches(s) for s in noise]), 0.9)
    # Fourier slice theorem: white projections, ramp |f|, NPS = |f|^2 / |f| times the kernel squared, less
    # what linear interpolation takes in back-projection: at most sinc^4.
    inside = (measured.f > 0.7) & (measured.f < 4.5)
    f = measured.f[inside]
    ratio = measured.power[inside] / (f * Kernel().response(f) ** 2)
    ratio /= ratio[:3].mean()
    assert (ratio < 1.08).all()
    assert (ratio > np.sinc(0.09 * f) ** 4 - 0.08).all()
    assert 2.0 < measured.mean_frequency < 4.0


def test_mr_reads_and_has_codes_and_units(mr: dict[str, Volume]) -> None:
    import nibabel as nib

    assert set(mr) == {"truth", "noisy"}
    for name, volume in mr.items():
        assert volume.array.shape == (24, 208, 176)
        assert volume.spacing == pytest.approx((4.0, 1.0, 1.0))
        header = nib.load(SAMPLE / "mr" / f"{name}.nii.gz").header
        assert header["sform_code"] == header["qform_code"] == 1
        assert header.get_xyzt_units()[0] == "mm"
        assert header.get_data_dtype() == np.int16
    truth = mr["truth"].array
    assert 0 <= truth.min() < 20
    assert truth.max() < 1300


def test_mr_noise_is_rician(mr: dict[str, Volume]) -> None:
    truth, noisy = mr["truth"].array, mr["noisy"].array
    sigma = 0.06 * np.percentile(truth[truth > 50], 99)
    air = noisy[truth <= 6]
    assert air.size > 100_000
    # Rayleigh, on a floor of 6 units, which lifts its mean by less than 1 per cent.
    assert air.mean() == pytest.approx(np.sqrt(np.pi / 2) * sigma, rel=0.015)
    assert air.std() == pytest.approx(np.sqrt(2 - np.pi / 2) * sigma, rel=0.015)
    bright = truth > 500
    assert (noisy - truth)[bright].std() == pytest.approx(sigma, rel=0.015)
    second = np.mean(noisy.astype(np.float64) ** 2 - truth.astype(np.float64) ** 2)
    assert second == pytest.approx(2 * sigma**2, rel=0.03)


def test_the_script_makes_the_committed_mr_truth(script: ModuleType, mr: dict[str, Volume]) -> None:
    made = script.mr_truth(slice(10, 12))
    # Rounding may fall the other way on another processor.
    difference = np.abs(made - _lps(mr["truth"])[10:12])
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


@pytest.mark.slow
def test_the_script_makes_the_committed_ct_truth(script: ModuleType, ct: dict[str, Volume]) -> None:
    made = script.ct_truth(1)
    difference = np.abs(made - ct["truth"].array[:1])
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


def test_the_script_inserts_all_noise_of_a_dose(script: ModuleType, ct: dict[str, Volume]) -> None:
    truth = ct["truth"].array[3]
    noise = script.ct_noise(truth, 0.25, (1,), backend="skimage", views=120)
    # Too few views for a good picture, enough for the level.
    assert noise[soft_tissue(truth)].std() == pytest.approx(24.0, rel=0.06)


def test_the_picture_shows_no_difference_as_mid_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLE.parent / "benchmarks"))
    import picture

    row = picture.ROWS["ct"]
    truth = picture.plane(picture.read(SAMPLE / row.truth), row)
    panels = np.asarray(picture.compose(row, truth, truth, truth))[picture.CAPTION :]
    width, step = picture.PANEL[0], picture.PANEL[0] + picture.GAP
    noisy, denoised, difference, reference = (panels[:, k * step : k * step + width] for k in range(4))
    assert np.array_equal(noisy, denoised)
    assert np.array_equal(noisy, reference)
    assert np.ptp(difference) == 0
    assert difference[0, 0] == 127
    assert noisy.std() > 40


def _lps(volume: Volume) -> np.ndarray:
    """Voxels with x to the left, y to the back, z to the head, whichever way the reader stacked them."""
    signs = np.sign(np.diag(volume.affine)[2::-1])
    return np.flip(volume.array, [axis for axis, sign in enumerate(signs) if sign < 0])
