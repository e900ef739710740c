"""Small undamaged images of every kind that medidiff reads, for the fuzz run."""

from __future__ import annotations

import gc
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))  # also as a script

from dicom_enhanced import make_enhanced
from dicom_series import make_series
from jpeg_lossless import compress, encapsulated


@dataclass(frozen=True)
class Seed:
    """An image.

    Attributes:
        name: what it is.
        files: relative path to content.
    """

    name: str
    files: dict[str, bytes]


def make_seeds(folder: Path, only: str = "") -> list[Seed]:
    """Makes every seed whose name `only` (a regular expression) finds; the same bytes each time."""
    kinds = [path for make in (_dicom, _nifti, _itk, _packed) for path in make(folder)]
    return [Seed(path.name, _files(path)) for path in kinds if re.search(only, path.name)]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def _dicom(folder: Path) -> list[Path]:
    """Every transfer syntax; CT, MR, PET; padding, unused bits."""
    from pydicom import uid

    small: dict[str, object] = {"slices": 3, "shape": (12, 10), "bits_stored": 12}
    kinds: dict[str, dict[str, object]] = {
        "ct": {"padding": (-2000, -1990), "bits_stored": 16},
        "mr-implicit": {"modality": "MR", "slope": None, "syntax": uid.ImplicitVRLittleEndian},
        "pet-big": {"modality": "PT", "slope": [0.5, 0.25, 2.0], "syntax": uid.ExplicitVRBigEndian},
        "deflated": {"syntax": uid.DeflatedExplicitVRLittleEndian},
        "rle": {"compress": uid.RLELossless},
        "jpeg-ls": {"compress": uid.JPEGLSLossless},
        "jpeg-2000": {"compress": uid.JPEG2000Lossless, "shape": (40, 36)},
        "jpeg-lossless": {"change": compress, "signed": False},
        "jpeg-baseline": {"change": _jpeg_baseline, "signed": False, "bits_stored": 8},
    }
    for name, knobs in kinds.items():
        make_series(folder / name, **{**small, **knobs})  # type: ignore[arg-type]
    make_series(folder / "headless", **small)  # type: ignore[arg-type]
    for path in (folder / "headless").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[144 + int.from_bytes(data[140:144], "little") :])  # (0002,0000)
    enhanced: dict[str, dict[str, object]] = {
        "enhanced-ct": {"padding": -2000, "slope": [1.0, 0.5, 2.0]},
        "enhanced-mr": {"modality": "MR", "volumes": {"echo": [5.0, 5.0, 9.0]}, "depths": [0, 3, 0]},
        "enhanced-rle": {"compress": uid.RLELossless, "shared": True},
    }
    for name, knobs in enhanced.items():
        make_enhanced(folder / name / "E", **{"slices": 3, **knobs})  # type: ignore[arg-type]
    return [folder / name for name in (*kinds, "headless", *enhanced)]


def _jpeg_baseline(ds: Dataset, k: int) -> None:
    from io import BytesIO

    from PIL import Image
    from pydicom.uid import JPEGBaseline8Bit

    buffer = BytesIO()
    Image.fromarray(ds.pixel_array.astype(np.uint8)).save(buffer, "JPEG")
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    encapsulated(ds, buffer.getvalue(), JPEGBaseline8Bit)


def _nifti(folder: Path) -> list[Path]:
    import nibabel as nib

    rng = np.random.default_rng(5)
    whole = rng.integers(-900, 900, (7, 6, 5)).astype(np.int16)
    real = rng.normal(size=(6, 5, 4, 3)).astype(np.float32)
    real[0, 0, 0, :2] = [np.nan, np.inf]
    affine = np.diag([-0.8, 0.7, 3.0, 1.0])
    images = {
        "nifti/a.nii": nib.Nifti1Image(whole, affine),
        "nifti-gz/sub-01_T1w.nii.gz": nib.Nifti1Image(whole, affine),
        "nifti-4d/bold.nii": nib.Nifti1Image(real, affine),
        "nifti-2/a.nii": nib.Nifti2Image(whole.astype(np.uint8), affine, dtype=np.uint8),
        "nifti-big/a.nii": nib.Nifti1Image(whole, affine, nib.Nifti1Header(endianness=">")),
        "nifti-pair/a.img": nib.Nifti1Pair(whole, affine),
        "nifti-pair-gz/a.img.gz": nib.Nifti2Pair(whole, affine),
    }
    images["nifti/a.nii"].header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"text"))
    images["nifti-2/a.nii"].header.set_slope_inter(0.5, -3.0)
    for name, image in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, folder / name)
    (folder / "nifti-gz/sub-01_T1w.json").write_text('{"EchoTime": 0.08, "Modality": "MR"}')
    return sorted({(folder / name).parent for name in images})


def _itk(folder: Path) -> list[Path]:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.random.default_rng(6).integers(-900, 900, (5, 6, 7)).astype(np.int16))
    image.SetSpacing((0.5, 0.6, 3.0))
    image.SetOrigin((1.25, -2.5, 3.75))
    image.SetDirection((0, 1, 0, 0, 0, 1, 1, 0, 0))
    files = [
        ("nrrd/a.nrrd", False), ("nrrd-gz/a.nrrd", True), ("nhdr/a.nhdr", False), ("mha/a.mha", False),
        ("mha-z/a.mha", True), ("mhd/a.mhd", False),
    ]  # fmt: skip
    for name, packed in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(folder / name), packed)
    return [(folder / name).parent for name, _ in files]


def _packed(folder: Path) -> list[Path]:
    """Zip, gzip and DICOMDIR."""
    import gzip

    from pydicom import config, dcmread
    from pydicom.fileset import FileSet

    make_series(folder / "loose", slices=2, shape=(4, 5))
    (folder / "zip").mkdir()
    with ZipFile(folder / "zip" / "scan.zip", "w", ZIP_DEFLATED) as archive:
        for path in sorted((folder / "loose").iterdir()):
            archive.write(path, f"inner/{path.name}")
    with ZipFile(folder / "zip" / "more.zip", "w", ZIP_DEFLATED) as archive:
        for name in ("nifti-pair/a.hdr", "nifti-pair/a.img", "nrrd-gz/a.nrrd", "mha-z/a.mha"):
            archive.write(folder / name, name)
    (folder / "gz").mkdir()
    for path in sorted((folder / "loose").iterdir()):
        (folder / "gz" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    files = FileSet()
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # pydicom leaves its temporary folder to the collector
        for path in sorted((folder / "loose").iterdir()):
            ds = dcmread(path)
            ds.StudyID = "1"
            files.add(ds)
        files.write(folder / "dicomdir")
        del files
        gc.collect()
    return [folder / name for name in ("zip", "gz", "dicomdir")]
