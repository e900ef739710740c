"""A file that is packed or has no telling name is read as it is when unpacked, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from itk_files import save
from one_item import only

from medidiff.errors import PixelError
from medidiff.io import Derivation, read, write
from medidiff.io.itk_reader import open_reader, quiet
from medidiff.io.streams import unpacks


@pytest.mark.parametrize("extension", ["nrrd", "mha"])
@pytest.mark.parametrize("how", ["gz", "zip", "gz in zip", "no name"])
def test_packed_and_unnamed_files(
    tmp_path: Path, derivation: Derivation, extension: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    plain = tmp_path / f"a.{extension}"
    save(plain, values)
    source = tmp_path / f"a.{extension}.gz" if how == "gz" else tmp_path / "scan"
    data = plain.read_bytes()
    if "zip" in how:
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"in/a.{extension}", gzip.compress(data) if "gz" in how else data)
    else:
        source.write_bytes(gzip.compress(data) if how == "gz" else data)
    volume = read(only(source))
    np.testing.assert_array_equal(volume.array, read(only(plain)).array)
    written = write(volume, tmp_path / "out", derivation=derivation)
    assert written.path.suffix == f".{extension}"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(written.path))), values)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("kind", ["nrrd", "nhdr", "mha", "mhd"])
def test_a_bit_that_changed_in_packed_voxels(tmp_path: Path, kind: str) -> None:
    """ITK unpacks as many bytes as it needs and heeds no check sum."""
    values = np.arange(210, dtype=np.int16).reshape(5, 6, 7)
    voxels = values.tobytes()
    packed = zlib.compress(voxels, 0) if kind[0] == "m" else gzip.compress(voxels, 0)
    if kind[0] == "m":
        head = (
            "ObjectType = Image\nNDims = 3\nDimSize = 7 6 5\nElementType = MET_SHORT\n"
            f"CompressedData = True\nCompressedDataSize = {len(packed)}\n"
            f"ElementDataFile = {'LOCAL' if kind == 'mha' else 'a.zraw'}\n"
        )
    else:
        head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nendian: little\nencoding: gzip\n"
        head += "\n" if kind == "nrrd" else "line skip: 2\ndata file: a.raw.gz\n\n"
    path = tmp_path / f"a.{kind}"
    place = {"nhdr": tmp_path / "a.raw.gz", "mhd": tmp_path / "a.zraw"}.get(kind, path)
    path.write_text(head)
    good = {"nhdr": b"two\nlines\n", "mhd": b""}.get(kind, head.encode()) + packed
    place.write_bytes(good)
    np.testing.assert_array_equal(read(only(path)).array, values)
    for byte in (-100, -3):  # a voxel, and the check sum itself
        bad = bytearray(good)
        bad[byte] ^= 1
        place.write_bytes(bad)
        with pytest.raises(PixelError, match="damaged"):
            read(only(path))


def test_voxels_in_two_gzip_members() -> None:
    values = np.arange(210, dtype=np.int16).reshape(5, 6, 7).tobytes()
    both = io.BytesIO(gzip.compress(values[:100]) + gzip.compress(values[100:]))
    assert unpacks(both, len(values))
    both.seek(0)
    assert not unpacks(both, len(values) + 1)


def test_many_gzip_members_are_read_once() -> None:
    """bgzip writes a member every 64 kB: what one read takes of the next ones must not be read for each."""

    class Counted(io.BytesIO):
        done = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.done += len(data)
            return data

    member = gzip.compress(np.random.default_rng(0).bytes(65280))
    file = Counted(member * 64)
    assert unpacks(file, 64 * 65280)
    assert file.done < 3 * 64 * len(member)


def test_warnings_of_itk_are_hushed_and_come_back(tmp_path: Path) -> None:
    save(tmp_path / "a.nrrd", np.zeros((3, 4, 5), np.int16))
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    try:
        for before in (True, False):
            sitk.ProcessObject.SetGlobalWarningDisplay(before)
            with open_reader(tmp_path / "a.nrrd"):
                assert not sitk.ProcessObject.GetGlobalWarningDisplay()
            with pytest.raises(KeyError), quiet():
                raise KeyError
            assert sitk.ProcessObject.GetGlobalWarningDisplay() is before
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
