"""Every real file at hand: what it is taken for, and back again unchanged. Sources: `real_files.tsv`.

The independent readers are pydicom with a slope of our own (`derived.py`), nibabel and SimpleITK. The DICOM
tools look at the first, a middle and the last image of a series; dcentvfy at all of them.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from derived import by_source, load, real_values, same_image
from real_files import TABLE, outcomes, pydicom_files, table
from validators import inconsistent, introduced, newly_missing, tool, unreadable

from medidiff.io import Derivation, SeriesItem, WriteOptions, discover, open_output, read
from medidiff.volume import Volume

ROWS = list(csv.reader(TABLE.read_text(encoding="utf-8").splitlines()[1:], delimiter="\t"))
ALONE = ("DICOM", "NIfTI", "skipped: DUPLICATE")
"""Beginnings of what is readable on its own."""

SERIES = [
    "fepegar__torchio/tests/image_data/dicom",
    "theibsi__data_sets/ibsi_validation/dicom/STS_001/CT/image",
    "theibsi__data_sets/ibsi_validation/dicom/STS_001/MR_T1/image",
    "theibsi__data_sets/ibsi_validation/dicom/STS_001/PET/image",
    "icometrix__dicom2nifti/tests/data/generic/anatomical/002_non_isotropic",
    "icometrix__dicom2nifti/tests/data/generic/compressed_jpegls",
]


def place(root: str, files: str, io_data: Path) -> Path:
    folder = pydicom_files() if root == "pydicom" else io_data
    return folder / files.removesuffix("/*")


@pytest.fixture(scope="session")
def io_data(shared_data: Path) -> Path:
    return shared_data / "io"


def test_what_pydicoms_files_are() -> None:
    """Files that a later pydicom adds are accounted for, and no more is asked of them."""
    found = table("pydicom", pydicom_files())
    expected = ["\t".join(row) for row in ROWS if row[0] == "pydicom"]
    known = {row[1] for row in ROWS}
    assert [line for line in found if line.split("\t")[1] in known] == expected
    assert set(outcomes(pydicom_files())) == {
        p.relative_to(pydicom_files()).as_posix() for p in pydicom_files().rglob("*") if p.is_file()
    }


def test_what_the_shared_files_are(io_data: Path) -> None:
    expected = ["\t".join(row) for row in ROWS if row[0] == "shared"]
    assert table("shared", io_data) == expected
    assert sum(int(line.split("\t")[2]) for line in expected) == len(
        [p for p in io_data.rglob("*") if p.is_file()]
    )


@pytest.mark.parametrize(
    ("root", "files"),
    [row[:2] for row in ROWS if row[3].startswith(ALONE)],
    ids=lambda value: value.removeprefix("icometrix__dicom2nifti/tests/data/generic/"),
)
def test_identity(request: pytest.FixtureRequest, tmp_path: Path, root: str, files: str) -> None:
    """Read, written with strength 0, and read by others: nothing has changed."""
    path = place(root, files, request.getfixturevalue("io_data") if root == "shared" else Path())
    found = discover([path])
    assert found.items
    for k, item in enumerate(found.items):
        if item.part[0] > 1:
            continue
        stacks = [i for i in found.items if i.series_uid == item.series_uid or i is item]
        if item.kind == "dicom":
            _dicom_identity(stacks, tmp_path / str(k))
        else:
            _nifti_identity(item, tmp_path / str(k))


def _dicom_identity(stacks: list[SeriesItem], out: Path) -> None:
    volumes = [read(item) for item in stacks]
    for item, volume in zip(stacks, volumes, strict=True):
        known = {key: pair for path in item.files for key, pair in real_values(path).items()}
        for plane, h in zip(volume.array, item.headers.stack.slices, strict=True):
            np.testing.assert_array_equal(plane, known[h.uid, h.frame_number or 1][0].astype(np.float32))
    derived = write_all(stacks, volumes, out)
    sources = list(dict.fromkeys(path for item in stacks for path in item.files))
    for source, copy in by_source(sources, derived):
        same_image(source, copy)
    judge(sources, derived)


def write_all(
    stacks: list[SeriesItem], volumes: list[Volume], out: Path, suffix: str = "denoised"
) -> list[Path]:
    """Writes the stacks of a series as one; nothing may be clipped, rescaled or remarked on."""
    derivation = Derivation("none", version="0.1.0", operation="copy", context=0)
    with open_output(stacks[0], out, WriteOptions(suffix)) as output:
        done = [output.add(volume, derivation) for volume in volumes]
    assert {(written.clipped, written.notes) for written in done} == {(0, ())}
    return sorted({path for written in done for path in written.files})


def judge(sources: list[Path], derived: list[Path]) -> None:
    """The validators find nothing new."""
    some = sorted({0, len(derived) // 2, len(derived) - 1})
    assert newly_missing(sources[:1], derived[:1]) == set()
    for k in some:
        assert unreadable(derived[k]) == ""
    if sources[0].suffix != ".gz":  # which the tools do not unpack
        assert introduced([sources[k] for k in some], [derived[k] for k in some]) == set()
        assert inconsistent(derived) == inconsistent(sources)


def _nifti_identity(item: SeriesItem, out: Path) -> None:
    volume = read(item)
    source = nib.load(item.files[0])
    with np.errstate(over="ignore"):
        values = np.asarray(source.dataobj, np.float64).astype(np.float32)
    shown = volume.array if volume.padding is None else volume.array[~volume.padding]
    assert sorted(np.unique(shown)) == sorted(np.unique(values[np.isfinite(values)]))
    derivation = Derivation("none", version="0.1.0", operation="copy", context=0)
    with open_output(item, out, WriteOptions()) as output:
        written = output.add(volume, derivation)
    copy = nib.load(written.path)
    np.testing.assert_array_equal(np.asarray(copy.dataobj), np.asarray(source.dataobj))
    np.testing.assert_array_equal(copy.affine, source.affine)
    if not isinstance(source, nib.Nifti2Image):  # which ITK does not read
        a, b = (sitk.ReadImage(str(path)) for path in (item.files[0], written.path))
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(a), sitk.GetArrayViewFromImage(b))


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("suffix", ["denoised", "residual"])
def test_changed_values_add_no_fault(io_data: Path, tmp_path: Path, series: str, suffix: str) -> None:
    (item,) = discover([io_data / series]).items
    volume = read(item)
    change = volume.with_array(volume.array * np.float32(0.5 if suffix == "denoised" else -0.01))
    judge(list(item.files), write_all([item], [change], tmp_path, suffix))


ENCODERS = {
    "JPEG 2000": ("gdcmconv", "--j2k"),
    "JPEG-LS": ("gdcmconv", "--jpegls"),
    "JPEG lossless": ("gdcmconv", "--jpeg"),
    "RLE": ("gdcmconv", "--rle"),
    "big-endian": ("dcmconv", "+tb"),
    "deflated": ("dcmconv", "+td"),
    "fragments": ("dcmcjpeg", "+fs", "1"),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    ("root", "name"),
    [("pydicom", "CT_small.dcm"), ("pydicom", "MR_small.dcm"), *(("shared", s) for s in SERIES[:4])],
)
def test_lossless_copies_decode_alike(
    request: pytest.FixtureRequest, tmp_path: Path, root: str, name: str, encoder: str
) -> None:
    """Encoders of GDCM and DCMTK, neither of which medidiff decodes with."""
    source = place(root, name, request.getfixturevalue("io_data") if root == "shared" else Path())
    source = source if source.is_file() else sorted(source.rglob("*.dcm"))[1]
    command, *options = ENCODERS[encoder]
    copy = tmp_path / "copy.dcm"
    run = tool(command, *options, source, copy)
    assert run.returncode == 0, run.stderr
    assert load(copy).file_meta.TransferSyntaxUID != load(source).file_meta.TransferSyntaxUID
    (item,) = discover([copy]).items
    (known,) = real_values(source).values()
    np.testing.assert_array_equal(read(item).array[0], known[0].astype(np.float32))


@pytest.mark.parametrize(("root", "code"), [("shared", 0), ("pydicom", 4)])
def test_the_command_line_over_all_of_them(
    request: pytest.FixtureRequest, tmp_path: Path, root: str, code: int
) -> None:
    """Every file is a slice of a series, or skipped with a reason; every slice comes back."""
    folder = place(root, "", request.getfixturevalue("io_data") if root == "shared" else Path())
    listed = medidiff("inspect", folder, "--json")
    assert listed.returncode == 0
    content = json.loads(listed.stdout)
    skipped = sum(group["files"] for group in content["skipped"])
    used = sum(series["files"] for series in content["series"])
    assert used + skipped == sum(path.is_file() for path in folder.rglob("*"))
    run = medidiff("denoise", folder, "-o", tmp_path / "out", "--strength", "0")
    assert run.returncode == code, run.stderr[-500:]  # 4: some images could not be used
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {series["status"] for series in report["series"]} == {"denoised"}
    assert len(report["series"]) == len(content["series"])
    assert sum(group["files"] for group in report["skipped_files"]) == skipped
    slices = sum(s["shape_zyx"][0] for s in report["series"] if s["kind"] == "dicom")
    images = [load(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert sum(int(ds.get("NumberOfFrames") or 1) for ds in images) == slices


def medidiff(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medidiff", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
