"""What must hold of every output.

Values that their VR can hold, no feedback loop, one series however often it is made, nothing private unless
asked for, and all else of the source as it was.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from derived import load
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.dataset import Dataset
from real_files import pydicom_files

from medidiff.batch.planning import plan
from medidiff.batch.pool import Pool
from medidiff.batch.request import Request
from medidiff.denoise import Settings
from medidiff.io import Derivation, discover, read, write

LENGTH = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "PN": 194, "SH": 16,
    "TM": 14, "UI": 64,
}  # fmt: skip
"""Characters of one value (PS3.5 6.2); a name has three groups of 64."""

WHOLE = {"LT": 10240, "ST": 1024}
FORM = {
    "CS": r"[A-Z0-9_ ]*", "DA": r"(\d{8})?", "DS": r" *([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)? *",
    "IS": r" *([+-]?\d+)? *", "TM": r"((\d{2}){1,3}(\.\d{1,6})?)? *",
    "UI": r"((0|[1-9]\d*)(\.(0|[1-9]\d*))*)?",
}  # fmt: skip


def unlawful(ds: Dataset) -> set[str]:
    """Elements, at any depth, with a value that their VR does not allow: from the bytes, not from pydicom."""
    found = set()
    for tag in list(ds.keys()):
        raw = ds.get_item(tag)
        if raw.VR == "SQ":
            found |= {x for part in ds[tag].value for x in unlawful(part)}
            continue
        if raw.VR not in LENGTH | WHOLE or not raw.is_raw:
            continue
        text = bytes(raw.value or b"").rstrip(b"\0 ").decode("latin-1")
        if len(text) > WHOLE.get(raw.VR, 2**32):
            found.add(f"{tag} {raw.VR} {len(text)} characters")
        for value in text.split("\\") if raw.VR in LENGTH else ():
            if len(value) > LENGTH[raw.VR] or not re.fullmatch(FORM.get(raw.VR, r"(?s).*"), value):
                found.add(f"{tag} {raw.VR} {value[:80]!r}")
    return found


SOURCES = {
    "CT": {"intercept": -1024.0, "bits_stored": 12, "signed": False},
    "MR": {"modality": "MR", "slope": None},
    "PT": {"modality": "PT", "slope": [0.123456789012, 3.3e-7, 98765.4321]},
    "enhanced CT": {"slope": [1.0, 1 / 3, 7.0]},
    "enhanced MR": {"modality": "MR"},
}


def made(folder: Path, name: str, **knobs: object) -> Path:
    """A series of one of the kinds."""
    if name.startswith("enhanced"):
        make_enhanced(folder / "E", **{**SOURCES[name], **knobs})  # type: ignore[arg-type]
    else:
        make_series(folder, **{"slices": 3, **SOURCES[name], **knobs})  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("suffix", ["denoised", "residual", "uncertainty", "dose12.5"])
def test_values_fit_their_vr(tmp_path: Path, name: str, suffix: str) -> None:
    (item,) = discover([made(tmp_path / "in", name)]).items
    volume = read(item)
    rng = np.random.default_rng(8)
    values = (volume.array * 1.37 + rng.normal(0, 1e5 / 3, volume.array.shape)).astype(np.float32)
    derivation = Derivation(
        "model-" * 40, "f" * 64, "0.1.0", sigma_text="x" * 900, engine="y" * 300, samples=10**9,
        operation="simulate" if suffix.startswith("dose") else "denoise",
    )  # fmt: skip
    options = {"suffix": suffix, "series_description": "Ü" * 200}
    written = write(volume.with_array(values), tmp_path / "out", derivation=derivation, **options)  # type: ignore[arg-type]
    for path in written.files:
        assert unlawful(load(path)) == set()


def test_the_check_of_values_can_fail(tmp_path: Path) -> None:
    make_series(tmp_path, slices=1)
    data = (tmp_path / "IM000.dcm").read_bytes()
    data = data.replace(b"Scanner 3", b"Scanner\\3").replace(b"DS\x04\x00120 ", b"DS\x04\x00120x")
    (tmp_path / "IM000.dcm").write_bytes(data.replace(b"AXIAL", b"AxIAL"))
    words = " ".join(unlawful(load(tmp_path / "IM000.dcm")))
    assert "AxIAL" in words
    assert "120x" in words


def exported(folder: Path, file_format: str) -> None:
    (item,) = discover([made(folder.parent / "source", "CT")]).items
    write(read(item), folder, derivation=Derivation("none"), file_format=file_format)  # type: ignore[arg-type]


def zipped(folder: Path) -> None:
    (item,) = discover([made(folder.parent / "source", "CT")]).items
    written = write(read(item), folder.parent / "loose", derivation=Derivation("none"))
    folder.mkdir()
    with zipfile.ZipFile(folder / "pacs.zip", "w") as archive:
        for path in written.files:
            archive.write(path, path.name)


def derived(folder: Path, name: str) -> None:
    (item,) = discover([made(folder.parent / "source", name)]).items
    write(read(item), folder, derivation=Derivation("none"))


OUTPUTS = {
    **{name: lambda folder, name=name: derived(folder, name) for name in SOURCES},
    **{form: lambda folder, form=form: exported(folder, form) for form in ("nifti", "nrrd", "mha")},
    "zip": zipped,
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_are_not_taken_for_scans(tmp_path: Path, kind: str) -> None:
    """No feedback loop: medidiff's own images are left out unless the user names the very file or series."""
    OUTPUTS[kind](tmp_path / "archive")
    made(tmp_path / "archive" / "new", "CT", series="another")
    request = Request((tmp_path / "archive",), tmp_path / "out", settings=Settings(strength=0.0))
    decisions = {
        entry.item.path.name: (entry.decision, entry.code) for entry in plan(request, Pool()).entries
    }
    assert decisions.pop("new") == ("planned", "")
    assert set(decisions.values()) == {("skipped", "EARLIER_OUTPUT")}


@pytest.mark.parametrize("name", SOURCES)
def test_a_second_run_makes_the_same_series(tmp_path: Path, name: str) -> None:
    """UIDs depend on the source, the model and the settings: not on the run, its time or its findings."""
    made(tmp_path / "in", name)

    def uids(out: str, **settings: object) -> list[tuple[str, ...]]:
        (item,) = discover([tmp_path / "in"]).items
        derivation = Derivation("m", "ab", "0.1.0", context=0, **settings)  # type: ignore[arg-type]
        heads = [load(path) for path in write(read(item), tmp_path / out, derivation=derivation).files]
        return [(h.SeriesInstanceUID, h.SOPInstanceUID, str(h.SeriesNumber)) for h in heads]

    first = uids("a", sigma_text="12.0 HU (auto)")
    assert uids("b", sigma_text="12.1 HU (auto)") == first
    assert len({uid for _, uid, _ in first}) == len(first)
    others = [uids("c", seed=1), uids("d", strength=0.5), uids("e", mode="natural")]
    for other in others:
        assert not {u for row in other for u in row[:2]} & {u for row in first for u in row[:2]}


REAL = ("CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "693_J2KI.dcm", "examples_overlay.dcm")
PRIVATE = ("CT_small.dcm", "examples_overlay.dcm")


def private_bytes(ds: Dataset) -> dict[str, object]:
    return {str(tag): ds[tag].value for tag in ds.keys() if tag.is_private and ds[tag].VR != "SQ"}


@pytest.mark.parametrize("name", PRIVATE)
def test_private_elements_of_scanners(tmp_path: Path, name: str) -> None:
    path = pydicom_files() / name
    (item,) = discover([path]).items
    volume = read(item)
    without = write(volume, tmp_path / "without", derivation=Derivation("m"))
    assert not any(e.tag.is_private for e in load(without.files[0]).iterall())
    kept = write(volume, tmp_path / "with", derivation=Derivation("m"), keep_private=True)
    old, new = private_bytes(load(path)), private_bytes(load(kept.files[0]))
    assert old
    assert new == old


@pytest.mark.parametrize("name", REAL)
def test_what_of_a_scanner_is_kept(tmp_path: Path, name: str) -> None:
    """Every public element of the source is there with its value, but for those of the statement's table."""
    path = pydicom_files() / name
    (item,) = discover([path]).items
    written = write(read(item), tmp_path, derivation=Derivation("m"))
    old, new = load(path), load(written.files[0])
    changed = {
        "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ImageType", "PixelData",
        "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime", "ContentDate",
        "ContentTime", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "StationName",
        "DeviceSerialNumber", "SmallestImagePixelValue", "LargestImagePixelValue", "InstanceCreatorUID",
        "SmallestPixelValueInSeries", "LargestPixelValueInSeries", "DataSetTrailingPadding", "HighBit",
        "DerivationDescription", "DerivationCodeSequence", "SourceImageSequence", "IconImageSequence",
    }  # fmt: skip
    for element in old:
        if element.tag.is_private or element.keyword in changed or element.tag.element == 0:
            continue
        assert new[element.tag].value == element.value, element.keyword
    assert "IconImageSequence" not in new  # of the old pixels; examples_overlay.dcm has one


def test_overlays_beside_the_pixels_are_kept(tmp_path: Path) -> None:
    path = pydicom_files() / "examples_overlay.dcm"
    (item,) = discover([path]).items
    volume = read(item)
    written = write(volume.with_array(volume.array * 0.5), tmp_path, derivation=Derivation("m"))
    old, new = load(path), load(written.files[0])
    assert old.overlay_array(0x6000).any()
    np.testing.assert_array_equal(new.overlay_array(0x6000), old.overlay_array(0x6000))
    assert new[0x60003000].value == old[0x60003000].value


def test_outputs_of_other_formats_say_whose_they_are(tmp_path: Path) -> None:
    """Also to a reader of the file alone, without its sidecar."""
    (item,) = discover([made(tmp_path / "in", "CT")]).items
    for form in ("nifti", "nrrd", "mha"):
        path = write(read(item), tmp_path, derivation=Derivation("m"), file_format=form).path  # type: ignore[arg-type]
        if form == "nifti":
            text = nib.load(path).header["descrip"].item().decode()
        else:
            text = sitk.ReadImage(str(path)).GetMetaData("medidiff")
        assert "medidiff" in text
        assert "esearch" in text
        assert "Doe" not in text
