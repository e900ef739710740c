"""A scan unlike the training says so: level, texture, pixel size, values; a familiar one says nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import SIGMA, PixelWiener, bundle, ct_volume

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.familiar import outside
from medidiff.models.bundle import Trained
from medidiff.noise.estimate import estimate
from medidiff.volume import Volume

pytest.importorskip("onnx", reason="onnx is not installed")
TRAINED = Trained(sigma=(0.002, 0.5), kernel=(1.5, 6.0), pixel_mm=(0.4, 1.2))


def notes(volume: Volume, trained: Trained = TRAINED, **settings: object) -> tuple[str, ...]:
    model = bundle(trained=trained)
    asked = Settings(**{"sigma": SIGMA, **settings})  # type: ignore[arg-type]
    return Denoiser(model, PixelWiener()).run(volume, asked).notes  # type: ignore[arg-type]


def test_a_familiar_scan_has_no_notes() -> None:
    assert notes(ct_volume((3, 96, 96))) == ()


def test_noise_level() -> None:
    assert notes(ct_volume(), sigma=400.0) == ("noise level 400 HU is outside the trained range 1 to 250 HU",)
    assert "noise level 0.5 HU is outside" in notes(ct_volume(), sigma=0.5)[0]


def test_noise_level_of_some_slices() -> None:
    volume = ct_volume((4, 48, 48))
    sigma = np.full(volume.array.shape, 50.0, np.float32)
    sigma[1] = 300.0
    assert notes(volume, sigma=sigma) == (
        "noise level of 1 of 4 slices is outside the trained range 1 to 250 HU",
    )


def test_noise_frequency() -> None:
    volume = ct_volume((3, 96, 96))
    texture = estimate(volume).kernel_frequency
    assert texture is not None
    for kernel, strange in (
        ((texture / 2, texture - 0.1), True), ((texture + 0.1, 9.0), False), ((texture * 1.3, 9.0), True),
    ):  # fmt: skip
        found = notes(volume, replace(TRAINED, kernel=kernel))
        assert bool(found) == strange, kernel
        if strange:
            assert found[0].startswith(f"noise frequency {texture:.3g} lp/cm is outside the trained range")
    # An unknown texture is no reason for a warning; MR speaks of its zero-fill factor.
    model = bundle("mr", trained=replace(TRAINED, kernel=(1.0, 2.0)))
    mr = replace(volume, modality="MR", unit="a.u.")
    assert outside(model, mr, 20.0, [0.1], 200.0, None) == []
    assert outside(model, mr, 20.0, [0.1], 200.0, 3.0) == [
        "zero-fill factor 3 is outside the trained range 1 to 2"
    ]


def test_pixel_size() -> None:
    coarse = replace(ct_volume(), affine=np.diag([2.5, 2.5, 3.0, 1.0]))
    assert "pixel size 2.5 mm is outside the trained range 0.4 to 1.2 mm" in notes(coarse)


def test_value_range() -> None:
    volume = ct_volume((2, 50, 50))
    volume.array[0, :5, :5] = 9000.0  # metal: 25 of 5000 voxels
    assert notes(volume) == (
        "0.5 % of the voxels are outside the model's range of values, -1024 to 3071 HU, "
        "and came back untouched",
    )
    # What is marked as padding is no image.
    padding = np.zeros(volume.array.shape, bool)
    padding[0, :5, :5] = True
    assert notes(replace(volume, padding=padding)) == ()


@pytest.mark.parametrize("around", [None, -2000.0])
def test_stored_values_are_no_hu(around: float | None) -> None:
    """Without the intercept of -1024; around the field of view GE stores -2000."""
    volume = ct_volume((2, 96, 96))
    volume.array[:] = np.maximum(volume.array + 1024.0, 0.0)
    if around is not None:
        y, x = np.mgrid[-1:1:96j, -1:1:96j]
        volume.array[:, np.hypot(y, x) > 1] = around
    assert [n for n in notes(volume) if "no value of the image is below 0" in n]
    volume.array[1, 40, 40] = -30.0
    assert not [n for n in notes(volume) if "below 0" in n]


def values_of(kind: str) -> np.ndarray:
    """A complex image of two tissues with a smooth phase and noise, as a scanner stores its parts."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:96j, -1:1:90j]
    tissue = np.where(np.hypot(x, y) < 0.8, 700.0, 0.0) + np.where(np.hypot(x - 0.2, y) < 0.3, 500.0, 0.0)
    stack = np.stack([tissue * np.exp(1j * (5 * x + 3 * y + k)) for k in range(3)])
    noise = rng.normal(0, 30, (2, *stack.shape))
    found = stack + noise[0] + 1j * noise[1]
    if "phase" in kind:
        return np.rint((np.angle(found) + np.pi) / (2 * np.pi) * 4095)
    magnitude = np.rint(np.abs(found))
    return np.clip(magnitude, 20, 600) if kind == "clipped" else magnitude


@pytest.mark.parametrize(
    "kind", ["phase", "masked phase", "magnitude", "clipped", "padded magnitude", "flat"]
)
def test_an_unsigned_phase_image_is_told_by_its_wraps(kind: str) -> None:
    array = values_of(kind).astype(np.float32)
    padding = None
    if "masked" in kind or "padded" in kind:
        padding = np.zeros(array.shape, bool)
        padding[:, :20] = padding[:, ::7] = True
        array[padding] = -32768.0  # what is marked as padding has no part in it
    if kind == "flat":
        array[:] = 7.0
    volume = Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]), "MR", "a.u.", padding)
    found = outside(bundle("mr", trained=TRAINED), volume, 20.0, [0.1], 200.0, None)
    assert [("as phases do" in note) for note in found] == ([True] if "phase" in kind else [])


def test_the_notes_reach_the_user_and_the_report(tmp_path: Path) -> None:
    import nibabel
    from click.testing import CliRunner

    from medidiff.cli.main import main
    from medidiff.models import save

    save(bundle(name="strict", trained=Trained((0.002, 0.01), (20.0, 30.0), (5.0, 6.0))), tmp_path / "strict")
    volume = ct_volume((4, 96, 96))
    volume.array[:, :6, :6] = 9000.0
    nibabel.save(nibabel.Nifti1Image(volume.array.T, np.diag([0.8, 0.8, 3.0, 1.0])), tmp_path / "scan.nii.gz")
    words = ["denoise", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out"), "--modality", "ct"]
    done = CliRunner().invoke(
        main, [*words, "--model", str(tmp_path / "strict"), "--report", "--sigma", "50"]
    )
    assert done.exit_code == 0, done.output
    (series,) = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["series"]
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for start in ("noise level 50 HU", "noise frequency", "pixel size 0.8 mm", "0.39 % of the voxels"):
        (note,) = [n for n in series["notes"] if n.startswith(start)]
        assert "outside" in note
        assert note in done.output
        assert note[1:].replace("'", "&#39;") in page
