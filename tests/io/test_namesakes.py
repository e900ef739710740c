"""One Series Instance UID in the hands of two patients or studies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from dicom_series import make_series, uid
from pydicom.dataset import Dataset

from medidiff.io import Derivation, Reason, SeriesItem, discover, read, write


def patient(folder: Path, name: str, *, study: str = "", first: int = 0, depth: float = 0.0) -> None:
    """Three slices of a patient; all of them in one series."""

    def own(ds: Dataset, k: int) -> None:
        ds.PatientID, ds.PatientName = name, f"{name}^X"
        ds.StudyInstanceUID = uid("study of", study or name)

    make_series(folder, depths=[depth, depth + 3, depth + 6], first=first, change=own)


def write_all(items: tuple[SeriesItem, ...], out: Path, derivation: Derivation) -> list[list[Dataset]]:
    return [[pydicom.dcmread(p) for p in write(read(i), out, derivation=derivation).files] for i in items]


@pytest.mark.parametrize("study", ["", "one"], ids=["two studies", "one study"])
@pytest.mark.parametrize("first", [50, 0], ids=["own images", "copied image UIDs"])
def test_two_patients_with_one_series_uid(
    tmp_path: Path, derivation: Derivation, study: str, first: int
) -> None:
    """Side by side in one frame of reference, as if the second continued the first."""
    patient(tmp_path / "in" / "a", "P1", study=study)
    patient(tmp_path / "in" / "b", "P2", study=study, first=first, depth=9.0)
    found = discover([tmp_path / "in"])
    assert not found.skipped
    assert [i.shape[0] for i in found.items] == [3, 3]
    assert all(i.part == (1, 1) and any("another patient" in n for n in i.notes) for i in found.items)
    derived = write_all(found.items, tmp_path / "out", derivation)
    for images, name in zip(derived, ("P1", "P2"), strict=True):
        sources = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (tmp_path / "in").rglob("*.dcm"))}
        assert {d.PatientID for d in images} == {name}
        assert {d.StudyInstanceUID for d in images} == {uid("study of", study or name)}
        assert len({d.SeriesInstanceUID for d in images}) == 1
        if first:
            seen = {
                sources[r.ReferencedSOPInstanceUID].PatientID for d in images for r in d.SourceImageSequence
            }
            assert seen == {name}
    assert derived[0][0].SeriesInstanceUID != derived[1][0].SeriesInstanceUID
    assert len({d.SOPInstanceUID for images in derived for d in images}) == 6


def test_each_alone_gives_the_uids_that_both_together_give(tmp_path: Path, derivation: Derivation) -> None:
    patient(tmp_path / "in" / "a", "P1")
    patient(tmp_path / "in" / "b", "P2", first=50)
    together = write_all(discover([tmp_path / "in"]).items, tmp_path / "out", derivation)
    for k, name in enumerate("ab"):
        (item,) = discover([tmp_path / "in" / name]).items
        assert not any("another patient" in n for n in item.notes)
        (alone,) = write_all((item,), tmp_path / name, derivation)
        assert [d.SOPInstanceUID for d in alone] == [d.SOPInstanceUID for d in together[k]]
        assert alone[0].SeriesInstanceUID == together[k][0].SeriesInstanceUID


def test_a_copy_of_a_scan_is_still_the_same_scan(tmp_path: Path) -> None:
    patient(tmp_path / "a", "P1")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [3]
    assert [s.reason for s in found.skipped] == [Reason.DUPLICATE] * 3
    assert not found.items[0].notes


def test_the_patient_is_not_in_what_is_shown(tmp_path: Path) -> None:
    patient(tmp_path / "a", "P4711XYZ")
    patient(tmp_path / "b", "Q4711XYZ", first=50)
    for item in discover([tmp_path]).items:
        assert "4711XYZ" not in repr(item) + repr(item.headers) + item.label + item.name + repr(item.notes)
