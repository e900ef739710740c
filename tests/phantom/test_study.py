"""Phantoms on disk: what is written is read again, by medidiff and by nibabel."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import synthetic_scan

from medidiff.errors import NoImageError, OutputError, RefusedError, UsageError
from medidiff.io import discover, read
from medidiff.phantom import Design, Exposure, Study, make, open_study

DESIGN, EXPOSURE = Design(realisations=2, depth=3), Exposure(10.0, (1.0, 0.025))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr("medidiff.phantom.study.scan", synthetic_scan)
    return make(tmp_path / "phantom", DESIGN, EXPOSURE)


def test_it_opens_as_it_was_made(study: Study) -> None:
    for path in (study.folder, study.folder / "phantom.json"):
        assert open_study(path) == study
    expected = synthetic_scan(DESIGN, EXPOSURE)
    np.testing.assert_array_equal(study.truth(), expected.truth)
    np.testing.assert_array_equal(study.noisy(0.025), expected.noisy[1])
    content = json.loads((study.folder / "phantom.json").read_text())
    assert [s["file"] for s in content["scans"]] == ["scans/dose100.nii.gz", "scans/dose2.5.nii.gz"]
    assert content["scans"][0]["noise_sd"] == pytest.approx(10.0, rel=0.05)
    assert content["design"]["inserts"][0]["contrast"] == 3.0


def test_the_scans_are_ct_and_realisations_are_no_neighbours(study: Study) -> None:
    found = discover([study.folder / "scans"])
    assert {item.modality for item in found.items} == {"CT"}
    assert len(found.items) == 2
    volume = read(found.items[0])
    assert volume.adjacent is not None
    assert volume.adjacent.tolist() == [True, True, False, True, True]
    image = nib.load(study.folder / "scans" / "dose100.nii.gz")
    assert image.shape == (224, 224, 3, 2)
    assert image.header.get_zooms()[:3] == pytest.approx((0.7, 0.7, 3.0))
    assert image.get_data_dtype() == np.int16
    # The third insert to detect lies at row 175, column 85 of the slice.
    row, column = DESIGN.inserts[2].centre_yx
    truth = nib.load(study.folder / "truth.nii.gz")
    assert truth.dataobj[int(column), int(row), 1, 0] == 45


def test_a_result_is_known_by_its_name(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("dose100_desc-denoised", "dose100_desc-uncertainty", "dose2.5_desc-denoised"):
        (out / f"{name}.nii.gz").write_bytes((study.folder / "scans" / "dose100.nii.gz").read_bytes())
    assert study.of_dose(out, 1.0) is not None
    assert study.of_dose(out / "dose2.5_desc-denoised.nii.gz", 0.025) is not None
    assert study.of_dose(out / "dose2.5_desc-denoised.nii.gz", 1.0) is None
    (out / "dose100_desc-other.nii.gz").write_bytes((out / "dose100_desc-denoised.nii.gz").read_bytes())
    with pytest.raises(UsageError, match="several images of dose 100%"):
        study.of_dose(out, 1.0)


def test_a_phantom_is_not_replaced_unasked(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (study.folder / "phantom.json").read_bytes()
    called = []
    monkeypatch.setattr("medidiff.phantom.study.scan", lambda *a: called.append(a))
    with pytest.raises(OutputError, match="exists"):
        make(study.folder, DESIGN, EXPOSURE)
    assert not called
    assert (study.folder / "phantom.json").read_bytes() == before
    monkeypatch.setattr("medidiff.phantom.study.scan", synthetic_scan)
    new = make(study.folder, Design(realisations=1, depth=1), EXPOSURE, overwrite=True)
    assert open_study(study.folder) == new


def test_nothing_is_left_of_a_phantom_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medidiff.phantom.study.scan", synthetic_scan)
    written: list[Path] = []

    def fail(path: Path, *_: object) -> None:
        written.append(path)
        path.write_bytes(b"half")
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("medidiff.phantom.study._write", fail)
    with pytest.raises(OutputError, match="disk is full"):
        make(tmp_path / "phantom", DESIGN, EXPOSURE)
    assert len(written) == 2
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"kind": "medidiff phantom", "layout": 9}', '{"kind": "other"}']
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "phantom.json").write_text(text)
    with pytest.raises(RefusedError, match="not the description of a phantom"):
        open_study(tmp_path)


def test_no_phantom_and_no_scan_are_said(study: Study, tmp_path: Path) -> None:
    with pytest.raises(NoImageError, match="no phantom"):
        open_study(tmp_path / "nowhere")
    (study.folder / "truth.nii.gz").unlink()
    with pytest.raises(NoImageError, match=r"truth\.nii\.gz"):
        study.truth()
