"""Zip files are read in place, and those that could do harm are refused whole."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_series import make_series

from medidiff.errors import OutputError, PixelError
from medidiff.io import Derivation, Reason, Skipped, discover, planned_output, read, write
from medidiff.io.archive import members
from medidiff.io.atomic import check_target
from medidiff.io.formats import exists, open_image, stored_size
from medidiff.io.streams import BadStream


def zipped(folder: Path, path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip file of all that lies in a folder."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def one_member(path: Path, name: str = "IM1", data: bytes = b"data", **fields: int) -> Path:
    """A zip file with one member whose name and fields may be anything."""
    info = zipfile.ZipInfo("x")
    info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
    for key, value in fields.items():
        setattr(info, key, value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


def skipped(path: Path) -> Skipped:
    found = discover([path])
    assert not found.items
    (skip,) = found.skipped
    return skip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_series_in_a_zip_is_the_series_in_its_folder(tmp_path: Path, method: int) -> None:
    make_series(tmp_path / "in" / "a" / "b", slices=4, name="{}".format)
    first = tmp_path / "in" / "a" / "b" / "0"
    first.write_bytes(gzip.compress(first.read_bytes()))
    scans = zipped(tmp_path / "in", tmp_path / "scans.zip", method)
    (plain,) = discover([tmp_path / "in"]).items
    found = discover([scans])
    assert not found.skipped
    (item,) = found.items
    assert item.path == scans / "a" / "b"
    assert item.files == tuple(scans / "a" / "b" / str(k) for k in range(4))
    assert item.name == plain.name
    np.testing.assert_array_equal(read(item).array, read(plain).array)
    np.testing.assert_array_equal(read(item).affine, read(plain).affine)


def test_the_same_series_in_a_folder_and_in_a_zip_is_used_once(tmp_path: Path) -> None:
    make_series(tmp_path / "in", slices=3)
    zipped(tmp_path / "in", tmp_path / "scans.zip")
    found = discover([tmp_path])
    assert [len(i.files) for i in found.items] == [3]
    assert [s.reason for s in found.skipped] == [Reason.DUPLICATE] * 3


def test_nothing_is_unpacked_to_disk(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", slices=3)
    (tmp_path / "box").mkdir()
    scans = zipped(tmp_path / "in", tmp_path / "box" / "scans.zip")
    before = scans.read_bytes()
    (item,) = discover([scans]).items
    written = write(read(item), tmp_path / "out", derivation=derivation)
    assert [p.name for p in (tmp_path / "box").iterdir()] == ["scans.zip"]
    assert scans.read_bytes() == before
    assert sorted(p.name for p in written.path.iterdir()) == ["0001.dcm", "0002.dcm", "0003.dcm"]


def test_nifti_with_its_sidecar(tmp_path: Path, derivation: Derivation) -> None:
    values = np.random.default_rng(0).integers(0, 900, (4, 5, 6)).astype(np.int16)
    (tmp_path / "in" / "sub-01").mkdir(parents=True)
    nib.Nifti1Image(values, np.eye(4)).to_filename(tmp_path / "in" / "sub-01" / "x.nii.gz")
    (tmp_path / "in" / "sub-01" / "x.json").write_text('{"Modality": "MR", "EchoTime": 0.1}')
    scans = zipped(tmp_path / "in", tmp_path / "scans.zip")
    found = discover([scans])
    (item,) = found.items
    assert item.modality == "MR"
    assert item.name == "sub-01/x"
    assert [(s.path, s.reason) for s in found.skipped] == [(scans / "sub-01" / "x.json", Reason.SIDECAR)]
    written = write(read(item), tmp_path / "out", derivation=derivation)
    assert written.path == tmp_path / "out" / "sub-01" / "x_desc-denoised.nii.gz"
    np.testing.assert_array_equal(nib.load(written.path).get_fdata(), values)
    assert '"EchoTime": 0.1' in (tmp_path / "out" / "sub-01" / "x_desc-denoised.json").read_text()


def test_a_zip_is_an_input_that_no_output_hits(tmp_path: Path) -> None:
    make_series(tmp_path / "in", slices=3)
    scans = zipped(tmp_path / "in", tmp_path / "scans.zip")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(scans.read_bytes()[:-30])
    (item,) = discover([scans, broken]).items
    for place in (scans, broken):
        with pytest.raises(OutputError, match="replace an input"):
            check_target(place, overwrite=True, inputs=item.inputs)
    check_target(planned_output(item, tmp_path), overwrite=False, inputs=item.inputs)


def test_hidden_folders_and_nested_archives(tmp_path: Path) -> None:
    source = tmp_path / "in"
    make_series(source / "a", slices=2)
    make_series(source / "b" / ".cache" / "deep", slices=2, series="2")
    zipped(source / "a", source / "nested.zip")
    scans = zipped(source, tmp_path / "scans.zip")
    found = discover([scans])
    assert [len(i.files) for i in found.items] == [2]
    assert {s.path.relative_to(scans).as_posix(): s.reason for s in found.skipped} == {
        "b/.cache": Reason.HIDDEN, "nested.zip": Reason.NESTED_ARCHIVE,
    }  # fmt: skip


def test_documents_are_no_archives_of_scans(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "report.docx", "w") as archive:
        for name in ("[Content_Types].xml", "word/document.xml"):
            archive.writestr(name, "<x/>")
    assert skipped(tmp_path).reason is Reason.NOT_AN_IMAGE
    with zipfile.ZipFile(tmp_path / "report.docx", "w"):
        pass
    assert skipped(tmp_path).reason is Reason.EMPTY


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../etc/passwd", "a/../../b", "C:\\x", "c:x", "..\\..\\x", "\\\\host\\x", "a\0b",
     "a\nb", "x" * 1001, "."],
)  # fmt: skip
def test_unsafe_names(tmp_path: Path, name: str) -> None:
    make_series(tmp_path / "in", slices=1)
    data = (tmp_path / "in" / "IM000.dcm").read_bytes()
    skip = skipped(one_member(tmp_path / "bad.zip", name, data))
    assert (skip.path, skip.reason) == (tmp_path / "bad.zip", Reason.UNSAFE_ZIP)


@pytest.mark.parametrize("name", ["x" * 300, "con", "a/./b", "a b/Ünïcode ü", "deep\\er\\IM1", "a../b..c"])
def test_odd_but_harmless_names(tmp_path: Path, name: str) -> None:
    make_series(tmp_path / "in", slices=1)
    data = (tmp_path / "in" / "IM000.dcm").read_bytes()
    (item,) = discover([one_member(tmp_path / "odd.zip", name, data)]).items
    assert read(item).array.shape == item.shape


def test_links_in_a_zip(tmp_path: Path) -> None:
    path = one_member(tmp_path / "link.zip", data=b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)
    skip = skipped(path)
    assert (skip.reason, skip.detail) == (Reason.UNSAFE_ZIP, "a symbolic link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    assert skipped(tmp_path / "two.zip").reason is Reason.UNSAFE_ZIP


def patched(path: Path, find: bytes, offset: int, new: bytes) -> None:
    """Replaces bytes at an offset behind every occurrence of a signature."""
    data = bytearray(path.read_bytes())
    at = data.find(find)
    while at >= 0:
        data[at + offset : at + offset + len(new)] = new
        at = data.find(find, at + 1)
    path.write_bytes(data)


CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"


def test_encrypted(tmp_path: Path) -> None:
    path = one_member(tmp_path / "locked.zip")
    patched(path, CENTRAL, 8, b"\1\0")
    assert skipped(path).reason is Reason.ENCRYPTED_ZIP


@pytest.mark.parametrize("method", [9, 12, 14, 93])
def test_other_methods(tmp_path: Path, method: int) -> None:
    path = one_member(tmp_path / "odd.zip")
    patched(path, CENTRAL, 10, struct.pack("<H", method))
    assert skipped(path).reason is Reason.ZIP_METHOD


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-5], lambda data: data[: len(data) // 2], lambda data: data[:4] + bytes(40),
        lambda data: data.replace(CENTRAL, b"PK\1\3"), lambda data: data.replace(b"PK\5\6", b"PK\5\7"),
    ],
)  # fmt: skip
def test_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    make_series(tmp_path / "in", slices=2)
    path = zipped(tmp_path / "in", tmp_path / "bad.zip")
    path.write_bytes(damage(path.read_bytes()))
    assert skipped(path).reason is Reason.DAMAGED_ZIP


def test_a_damaged_member_is_refused_when_it_is_read(tmp_path: Path) -> None:
    make_series(tmp_path / "in", slices=3, shape=(64, 64))
    path = zipped(tmp_path / "in", tmp_path / "bad.zip")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("IM001.dcm")
    at = info.header_offset + info.compress_size // 2
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    (item,) = discover([path]).items
    with pytest.raises(PixelError, match="IM001.dcm"):
        read(item)


def test_a_member_that_holds_more_than_it_says(tmp_path: Path) -> None:
    path = one_member(tmp_path / "liar.zip", data=bytes(100_000))
    patched(path, CENTRAL, 24, struct.pack("<I", 1000))
    (member,) = members(path)
    assert stored_size(member) == 1000
    with pytest.raises(BadStream), open_image(member) as file:
        assert len(file.read()) <= 1000


def test_a_bomb_by_declared_size(tmp_path: Path) -> None:
    path = one_member(tmp_path / "bomb.zip", data=bytes(300 << 20))
    assert path.stat().st_size < 400_000
    skip = skipped(path)
    assert (skip.reason, skip.detail) == (Reason.PACKING_BOMB, f"300 MB from {path.stat().st_size} bytes")


def test_a_bomb_of_overlapping_members(tmp_path: Path) -> None:
    """All entries of the list point to the same bytes."""
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(5):
            archive.writestr(f"f{k}", bytes(1000))
    patched(path, CENTRAL, 42, struct.pack("<I", 0))
    skip = skipped(path)
    assert (skip.reason, skip.detail) == (Reason.PACKING_BOMB, "members that overlap")


def test_a_bomb_of_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(300):
            archive.writestr(f"f{k}", "")
    monkeypatch.setattr("medidiff.io.archive.MAX_MEMBERS", 200)
    assert skipped(path).detail == "300 members"


@pytest.mark.parametrize(("at", "claim"), [(12, "<I"), (40, "<Q")])
def test_a_list_of_members_that_claims_gigabytes(tmp_path: Path, at: int, claim: str) -> None:
    path = one_member(tmp_path / "big.zip")
    data = bytearray(path.read_bytes())
    if claim == "<Q":
        end = data.rfind(b"PK\5\6")
        wide = bytearray(56)
        wide[:4] = b"PK\6\6"
        data[end:end] = wide + b"PK\6\7" + bytes(16)
    end = data.rfind(b"PK\6\6" if claim == "<Q" else b"PK\5\6")
    data[end + at : end + at + struct.calcsize(claim)] = struct.pack(claim, 0x7FFFFFFF)
    path.write_bytes(data)
    assert (skipped(path).reason, skipped(path).detail) == (Reason.PACKING_BOMB, "too many members")


def test_seeking_in_a_member(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 9, 200_000).astype(np.uint8).tobytes()
    path = one_member(tmp_path / "a.zip", "in/x", data)
    (member,) = members(path)
    plain = io.BytesIO(data)
    rng = np.random.default_rng(1)
    with open_image(member) as file:
        for _ in range(60):
            place, whence = [(int(rng.integers(0, 210_000)), 0), (-int(rng.integers(0, 999)), 2)][
                int(rng.integers(2))
            ]
            assert file.seek(place, whence) == plain.seek(place, whence)
            size = int(rng.choice([1, 8, 5000, 70_000]))
            assert file.read(size) == plain.read(size)
            assert file.tell() == plain.tell()


def test_a_zip_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = one_member(tmp_path / "a.zip", "x", b"old")
    with open_image(path / "x") as file:
        assert file.read() == b"old"
    one_member(path, "x", b"newer")
    with open_image(path / "x") as file:
        assert file.read() == b"newer"
    assert exists(path / "x")
    assert not exists(path / "y")
    with pytest.raises(FileNotFoundError):
        open_image(path / "y")
