"""Every file is accounted for, whatever it is called and however deep it lies."""

from __future__ import annotations

import gzip
import os
import tarfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_series import PATIENT, make_series, uid
from pydicom.data import get_testdata_file

from medidiff.batch.skips import DAMAGED
from medidiff.errors import UsageError
from medidiff.io import Discovery, Reason, discover, planned_output, read


def accounted(found: Discovery) -> list[Path]:
    return sorted([f for item in found.items for f in item.files] + [s.path for s in found.skipped])


def test_every_shared_file_is_accounted_for(io_data: Path) -> None:
    found = discover([io_data])
    assert accounted(found) == sorted(p for p in io_data.rglob("*") if p.is_file())
    kinds = {item.series_uid or item.path.name: item for item in found.items}
    assert sum(i.kind == "dicom" for i in kinds.values()) == 10
    assert sum(i.kind == "nifti" for i in kinds.values()) == 10
    reasons = {s.path.name: s.reason for s in found.skipped}
    assert reasons["row_major.dconn.nii"] is Reason.UNSUPPORTED_LAYOUT
    assert reasons["siemens_dwi_0.dcm.gz"] is Reason.MOSAIC
    assert reasons["decimal_rescale.dcm"] is Reason.MISSING_UID
    assert reasons["ascconv_sample.txt"] is Reason.NOT_AN_IMAGE


def test_every_file_of_pydicom_is_accounted_for() -> None:
    folder = Path(get_testdata_file("CT_small.dcm")).parent
    found = discover([folder])
    assert accounted(found) == sorted(p for p in folder.rglob("*") if p.is_file())
    assert {Reason.DICOMDIR, Reason.LOCALIZER, Reason.COLOUR} <= {s.reason for s in found.skipped}
    bare = {s.reason for s in found.skipped if "TINY_ALPHA" in s.path.parts and s.path.name.startswith("IM")}
    assert bare == {Reason.NO_PIXELS}


def test_a_file_that_is_cut_off_in_its_header(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1)
    data = (tmp_path / "IM000.dcm").read_bytes()
    for end in (b"\x08\x00\x18\x00UI", b"\x28\x00\x10\x00US", b"\xe0\x7f\x10\x00"):
        (tmp_path / f"{end[0]}").write_bytes(data[: data.index(end) + 3])
    reasons = {s.path.name: s.reason for s in discover([tmp_path]).skipped}
    assert reasons == {"8": Reason.TRUNCATED, "40": Reason.NO_PIXELS, "224": Reason.NO_PIXELS}


def test_thirteen_hundred_files_take_seconds(shared_data: Path) -> None:
    start = time.process_time()  # not the wall clock: other work on the machine must not fail this
    found = discover([shared_data / "ct"])
    assert time.process_time() - start < 30  # about 2 s; decoding the pixels would take over a minute
    assert sum(len(i.files) for i in found.items) == 1324
    reasons = {s.reason for s in found.skipped}
    assert reasons == {Reason.DUPLICATE, Reason.NOT_AN_IMAGE}
    assert len({i.name.lower() for i in found.items}) == len(found.items)


def test_nested_unnamed_packed_and_named_twice(tmp_path: Path) -> None:
    make_series(tmp_path / "in", slices=4, name=lambda k: f"{k}")
    for k in range(4):
        deep = (tmp_path / "in").joinpath(*"x" * (k + 1))
        deep.mkdir(parents=True)
        (tmp_path / "in" / str(k)).rename(deep / "image")
    first = tmp_path / "in" / "x" / "image"
    first.write_bytes(gzip.compress(first.read_bytes()))
    found = discover([tmp_path / "in", tmp_path / "in", tmp_path / "in" / "x"])
    assert not found.skipped
    (item,) = found.items
    assert item.shape[0] == 4
    assert [f.parts.count("x") for f in item.files] == [1, 2, 3, 4]
    assert read(item).array.shape == item.shape


def test_the_same_instance_twice_is_used_once(tmp_path: Path) -> None:
    make_series(tmp_path / "a", slices=3)
    make_series(tmp_path / "b", slices=2)
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [3]
    assert [s.reason for s in found.skipped] == [Reason.DUPLICATE] * 2
    assert {s.detail for s in found.skipped} == {"same SOP Instance UID as a file in a"}  # one line for all


def test_one_path_is_one_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is no sequence of the paths of its letters, of which / is the whole machine."""
    make_series(tmp_path / "a", slices=3)
    monkeypatch.chdir(tmp_path)
    for path in ("a/", Path("a"), ["a"], [Path("a")]):
        (item,) = discover(path).items
        assert len(item.files) == 3
    with pytest.raises(UsageError, match=r"Received: str\. Of a path it is discover\(path\)\.items\[0\]"):
        read("a")  # type: ignore[arg-type]


def test_localizer_is_split_off(tmp_path: Path) -> None:
    make_series(tmp_path, slices=4)

    def scout(ds: object, k: int) -> None:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]  # type: ignore[attr-defined]

    make_series(
        tmp_path, slices=1, first=9, name="scout{}".format, orientation=(1, 0, 0, 0, 0, -1), change=scout
    )
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [4]
    assert [s.reason for s in found.skipped] == [Reason.LOCALIZER]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("LOCALIZER", Reason.LOCALIZER), ("MOSAIC", Reason.MOSAIC), ("ORIGINAL", None), ("PIPELINE", None)],
)
def test_image_type_of_one_value_is_a_word(tmp_path: Path, kind: str, reason: Reason | None) -> None:
    make_series(tmp_path, slices=2, change=lambda ds, k: setattr(ds, "ImageType", kind))
    found = discover([tmp_path])
    assert {s.reason for s in found.skipped} == ({reason} if reason else set())
    for item in found.items:
        assert item.headers.stack.slices[0].kind == ()  # value 3 and up


def test_the_rest_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".git").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with tarfile.open(tmp_path / "scan.tar", "w") as archive:
        archive.add(tmp_path / "notes.txt", "a")
    nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text("{}")
    found = discover([tmp_path, tmp_path / "gone"])
    assert [i.path.name for i in found.items] == ["a.nii"]
    assert {s.path.name: s.reason for s in found.skipped} == {
        "empty": Reason.EMPTY, "notes.txt": Reason.NOT_AN_IMAGE, ".git": Reason.HIDDEN,
        "dangling": Reason.UNREADABLE, "pipe": Reason.NOT_AN_IMAGE, "scan.tar": Reason.ARCHIVE,
        "a.json": Reason.SIDECAR, "gone": Reason.NOT_FOUND,
    }  # fmt: skip
    assert "unpack it" in next(s.sentence for s in found.skipped if s.reason is Reason.ARCHIVE)


def test_progress_counts_every_file(tmp_path: Path) -> None:
    make_series(tmp_path, slices=5)
    seen: list[tuple[int, int]] = []
    discover([tmp_path], lambda done, total: seen.append((done, total)))
    assert seen == [(k, 5) for k in range(1, 6)]


def test_one_read_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pydicom

    make_series(tmp_path, slices=5)
    calls = []
    original = pydicom.dcmread
    monkeypatch.setattr(pydicom, "dcmread", lambda *a, **k: calls.append(k) or original(*a, **k))
    discover([tmp_path])
    assert len(calls) == 5
    assert all(k["stop_before_pixels"] for k in calls)


def test_no_patient_text_in_labels_and_names(tmp_path: Path) -> None:
    make_series(tmp_path)  # its description holds the family name
    (item,) = discover([tmp_path]).items
    family = PATIENT.split("^")[0]
    assert family not in item.label
    assert family not in item.name
    assert item.name == f"4_Chest_3_mm_{uid('series', '1')[-8:]}"
    assert item.label == "CT series 4 'Chest 3 mm' (8x6x5)"
    for item in discover([tmp_path]).items:
        assert "PID4711" not in repr(item)


def test_a_hostile_description_stays_in_its_folder(tmp_path: Path) -> None:
    make_series(
        tmp_path / "in", change=lambda ds, k: setattr(ds, "SeriesDescription", "../../etc/pass wd\n;rm")
    )
    (item,) = discover([tmp_path / "in"]).items
    out = planned_output(item, tmp_path / "out")
    assert out.parent == tmp_path / "out"
    assert out.name.startswith("4_etc_pass_wd_rm_")


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_description_is_not_none(tmp_path: Path, text: str | None) -> None:
    make_series(tmp_path, change=lambda ds, k: setattr(ds, "SeriesDescription", text))
    (item,) = discover([tmp_path]).items
    assert item.description == ""
    assert "None" not in item.name


def test_equal_names_do_not_collide(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        image.to_filename(tmp_path / folder / "T1.nii.gz")
    image.to_filename(tmp_path / "b" / "T1.nii")
    together = discover([tmp_path]).items  # a folder keeps its structure
    assert sorted(i.name for i in together) == ["a/T1", "b/T1", "b/T1-2"]
    apart = discover([tmp_path / "a" / "T1.nii.gz", tmp_path / "b" / "T1.nii.gz"]).items
    assert [i.name for i in apart] == ["T1", "T1-2"]
    places = {planned_output(i, tmp_path / "out") for i in together}
    assert len(places) == 3


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("sub-01_T2w.nii.gz", "MR"), ("phil1_T1_MPRAGE.nii", "MR"), ("study1_FLAIR.nii.gz", "MR"),
        ("CT_image.nii.gz", "CT"), ("patient.nii", "OT"), ("actor.nii", "OT"), ("PET_image.nii", "PT"),
    ],
)  # fmt: skip
def test_modality_by_name(tmp_path: Path, name: str, modality: str) -> None:
    nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_filename(tmp_path / name)
    assert discover([tmp_path]).items[0].modality == modality


def test_links_that_go_in_circles(tmp_path: Path) -> None:
    make_series(tmp_path / "a" / "b", slices=3)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "b" / "down").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    (tmp_path / "again").symlink_to(tmp_path / "a" / "b" / "IM000.dcm")
    found = discover([tmp_path, tmp_path / "a" / "up" / "a"])
    assert [len(i.files) for i in found.items] == [3]
    reasons = {s.path.name: s.reason for s in found.skipped}
    assert {reasons.pop(name) for name in ("itself", "x", "y")} == {Reason.UNREADABLE}
    assert set(reasons.values()) == {Reason.DUPLICATE}


def test_other_images_under_one_uid_are_lost_data(tmp_path: Path) -> None:
    """Some de-identifiers give all images one SOP Instance UID: what is left out is no copy."""
    make_series(tmp_path, slices=4, change=lambda ds, k: setattr(ds, "SOPInstanceUID", "1.2.3"))
    found = discover([tmp_path])
    assert [i.shape[0] for i in found.items] == [1]
    assert [s.reason for s in found.skipped] == [Reason.UID_REUSED] * 3
    assert Reason.UID_REUSED in DAMAGED
