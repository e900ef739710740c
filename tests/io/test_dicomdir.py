"""DICOMDIR: what it names is found, what is missing is told, and it leads nowhere else."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from medidiff.io import Discovery, Reason, discover

TREE = Path(get_testdata_file("CT_small.dcm")).parent / "dicomdirtests"
FOLDERS = ("77654033", "98892001", "98892003")
VARIANTS = ("DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-nooffset", "DICOMDIR-reordered")


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disc as it comes: one DICOMDIR and folders with names in capital letters."""
    folder = tmp_path_factory.mktemp("disc") / "disc"
    for name in FOLDERS:
        shutil.copytree(TREE / name, folder / name)
    shutil.copy(TREE / "DICOMDIR", folder)
    return folder


def files(found: Discovery, *without: Reason) -> set[Path]:
    used = {f for item in found.items for f in item.files}
    return used | {s.path for s in found.skipped if s.reason not in without}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_named_files_are_the_input(name: str) -> None:
    named = {p for folder in FOLDERS for p in (TREE / folder).rglob("*") if p.is_file()}
    assert len(named) == 31  # that of pydicom's FileSet
    found = discover([TREE / name])
    assert files(found, Reason.DICOMDIR) == named
    assert [s.path for s in found.skipped if s.reason is Reason.DICOMDIR] == [TREE / name]
    assert sum(len(item.files) for item in found.items) > 5


def test_a_folder_is_walked_whatever_its_dicomdir_says(disc: Path) -> None:
    found = discover([disc])
    assert files(found) == {p for p in disc.rglob("*") if p.is_file()}
    again = discover([disc / "DICOMDIR"])
    assert {i.files for i in again.items} == {i.files for i in found.items}


@pytest.mark.parametrize("whole", [True, False])
def test_missing_files_are_told(disc: Path, tmp_path: Path, whole: bool) -> None:
    shutil.copytree(disc, tmp_path / "disc")
    gone = sorted((tmp_path / "disc" / "98892001").rglob("*"))[-1]
    gone.unlink()
    found = discover([tmp_path / "disc" if whole else tmp_path / "disc" / "DICOMDIR"])
    missing = [s for s in found.skipped if s.reason is Reason.DICOMDIR_MISSING]
    assert [s.path for s in missing] == [gone]
    assert found.items


def test_case_does_not_count(disc: Path, tmp_path: Path) -> None:
    """A copied ISO 9660 disc may show its names in small letters."""
    for file in (p for p in disc.rglob("*") if p.is_file()):
        new = tmp_path / file.relative_to(disc).as_posix().lower()
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, new)
    found = discover([tmp_path / "dicomdir"])
    assert len(files(found)) == 32
    assert Reason.DICOMDIR_MISSING not in {s.reason for s in found.skipped}


def test_a_disc_in_a_zip(disc: Path, tmp_path: Path) -> None:
    inside = [p for p in disc.rglob("*") if p.is_file()]
    gone = next(p for p in inside if p.name == "4919")
    with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
        for file in set(inside) - {gone}:
            archive.write(file, file.relative_to(disc))
    found = discover([tmp_path / "disc.zip"])
    assert files(found) == {tmp_path / "disc.zip" / p.relative_to(disc) for p in inside}
    (missing,) = [s.path for s in found.skipped if s.reason is Reason.DICOMDIR_MISSING]
    assert missing == tmp_path / "disc.zip" / gone.relative_to(disc)


def renamed(disc: Path, change: Callable[[int], list[str] | str | None]) -> None:
    """Gives record k of the DICOMDIR another Referenced File ID, unless `change` gives None."""
    directory = pydicom.dcmread(disc / "DICOMDIR")
    named = [r for r in directory.DirectoryRecordSequence if "ReferencedFileID" in r]
    for k, record in enumerate(named):
        if (new := change(k)) is not None:
            record["ReferencedFileID"]._value = new
    directory.save_as(disc / "DICOMDIR")


@pytest.mark.parametrize(
    "evil",
    [["..", "secret"], ["77654033", "..", "..", "secret"], ["/etc/passwd"], ["", "etc", "passwd"],
     ["C:", "x"], ["a/../../secret"], ["..\\secret"], ["."]],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_names_that_lead_out_are_never_opened(
    disc: Path, tmp_path: Path, evil: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(disc, tmp_path / "disc")
    scan = next(i.files[0] for i in discover([disc]).items)
    shutil.copy(scan, tmp_path / "secret")
    with pydicom.config.disable_value_validation():
        renamed(tmp_path / "disc", lambda k: evil if k == 3 else None)
    opened: list[str] = []
    import medidiff.io.formats as formats

    original = formats.open_stored
    monkeypatch.setattr(formats, "open_stored", lambda p: opened.append(str(p.resolve())) or original(p))
    found = discover([tmp_path / "disc" / "DICOMDIR"])
    assert opened
    assert all(name.startswith(str(tmp_path / "disc")) for name in opened)
    (skip,) = [s for s in found.skipped if s.reason is Reason.DICOMDIR_UNSAFE]
    assert (skip.path, skip.detail) == (tmp_path / "disc" / "DICOMDIR", "1 of 31 names")
    assert len(files(found)) == 31


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_name_too_long_for_the_system_is_missing(disc: Path, tmp_path: Path, alone: bool) -> None:
    shutil.copytree(disc, tmp_path / "disc")
    with pydicom.config.disable_value_validation():
        renamed(tmp_path / "disc", lambda k: ["x" * 300] if k == 3 else None)
    found = discover([tmp_path / "disc" / "DICOMDIR" if alone else tmp_path / "disc"])
    assert Reason.DICOMDIR_MISSING in {s.reason for s in found.skipped}


def test_a_path_too_long_for_the_system_does_not_exist() -> None:
    assert [s.reason for s in discover([Path("x" * 300)]).skipped] == [Reason.NOT_FOUND]


def test_a_damaged_dicomdir_does_not_hide_the_files(disc: Path, tmp_path: Path) -> None:
    shutil.copytree(disc, tmp_path / "disc")
    data = (tmp_path / "disc" / "DICOMDIR").read_bytes()
    (tmp_path / "disc" / "DICOMDIR").write_bytes(data[:2000])
    found = discover([tmp_path / "disc"])
    assert {p for p in (tmp_path / "disc").rglob("*") if p.is_file()} <= files(found)
    assert found.items
