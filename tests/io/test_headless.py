"""Files without preamble, without file meta information, or with half of what they need there."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_series import make_series
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from medidiff.io import Derivation, Reason, discover, read, write
from medidiff.report.identity import pseudonym

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


def bare(path: Path, *, preamble: bool = False) -> None:
    """Takes off the preamble and the file meta information (PS3.10 7.1)."""
    data = path.read_bytes()
    length = int.from_bytes(data[140:144], "little")  # (0002,0000)
    path.write_bytes((data[:132] if preamble else b"") + data[144 + length :])


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("preamble", [False, True])
def test_headless_files_are_what_they_were(
    tmp_path: Path, derivation: Derivation, syntax: str, preamble: bool
) -> None:
    stored = make_series(tmp_path / "in", slices=3, syntax=syntax)
    whole = {p.name: pseudonym(p) for p in (tmp_path / "in").iterdir()}
    for path in (tmp_path / "in").iterdir():
        bare(path, preamble=preamble)
        assert pseudonym(path) == whole[path.name]
    found = discover([tmp_path / "in"])
    assert not found.skipped
    volume = read(found.items[0])
    np.testing.assert_array_equal(volume.array, stored)
    if syntax != ExplicitVRBigEndian and not preamble:  # GDCM reads only these
        for path in (tmp_path / "in").iterdir():
            image = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
            assert any((image == values).all() for values in stored)
    for file, values in zip(
        write(volume, tmp_path / "out", derivation=derivation).files, stored, strict=True
    ):
        ds = pydicom.dcmread(file)
        assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        np.testing.assert_array_equal(ds.pixel_array, values)


def test_meta_information_without_preamble(tmp_path: Path) -> None:
    stored = make_series(tmp_path, slices=3, compress=JPEGLSLossless)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(read(discover([tmp_path]).items[0]).array, stored)


def test_compressed_pixels_without_a_syntax_are_refused(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1, compress=JPEGLSLossless)
    (path,) = tmp_path.iterdir()
    bare(path)
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.TRANSFER_SYNTAX]


def test_what_only_looks_headless_is_not_guessed_at(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "noise").write_bytes(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + rng.bytes(5000))
    assert [s.reason for s in discover([tmp_path]).skipped] == [Reason.HEADLESS]


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_uids_that_only_the_meta_information_has(
    tmp_path: Path, derivation: Derivation, keyword: str
) -> None:
    """(0002,0002-0003) are those of the data set (PS3.10 7.1)."""
    stored = make_series(tmp_path / "in", slices=3)
    known = set()
    for path in (tmp_path / "in").iterdir():
        ds = pydicom.dcmread(path)
        known.add(ds[keyword].value)
        delattr(ds, keyword)
        data = BytesIO()
        pydicom.dcmwrite(data, ds)
        path.write_bytes(data.getvalue())
    volume = read(discover([tmp_path / "in"]).items[0])
    np.testing.assert_array_equal(volume.array, stored)
    new = write(volume, tmp_path / "out", derivation=derivation)
    sources = [pydicom.dcmread(f).SourceImageSequence[0] for f in new.files]
    assert {s[f"Referenced{keyword}"].value for s in sources} == known


def test_samples_per_pixel_of_a_grey_image_may_be_missing(tmp_path: Path) -> None:
    stored = make_series(tmp_path, slices=2, change=lambda ds, k: delattr(ds, "SamplesPerPixel"))
    np.testing.assert_array_equal(read(discover([tmp_path]).items[0]).array, stored)
