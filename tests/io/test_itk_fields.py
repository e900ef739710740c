"""Fields that ITK does not heed or loses are heeded and kept, or the file is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from one_item import only

from medidiff.io import Derivation, Reason, discover, read, write

VALUES = np.random.default_rng(3).integers(0, 900, (4, 5, 6)).astype(np.int16)
SPACE = "space: LPS\nspace directions: (80,0,0) (0,90,0) (0,0,100)\nspace origin: (10,20,30)\n"
META = "ElementSpacing = 80 90 100\nOffset = 10 20 30\n"


def nrrd(path: Path, fields: str, encoding: str = "utf-8") -> Path:
    head = "NRRD0005\ntype: short\ndimension: 3\nsizes: 6 5 4\nencoding: raw\nendian: little\n"
    path.write_bytes(f"{head}{fields}\n".encode(encoding) + VALUES.tobytes())
    return path


def meta(path: Path, fields: str) -> Path:
    head = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
    tail = "DimSize = 6 5 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path.write_bytes(f"{head}{fields}{tail}".encode() + VALUES.tobytes())
    return path


def header(path: Path) -> dict[str, str]:
    """The fields of a text header as they stand."""
    text = re.split(rb"\n\n|LOCAL\n", path.read_bytes(), maxsplit=1)[0].decode()
    pairs = (re.split(r":=|: | = ", line, maxsplit=1) for line in text.splitlines() if line[0] != "#")
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def refused(path: Path) -> tuple[Reason, str]:
    (skip,) = discover([path]).skipped
    return skip.reason, skip.detail


def copied(path: Path, derivation: Derivation, suffix: str = "denoised") -> Path:
    """A derived file of the same values, which SimpleITK reads on the same grid."""
    written = write(read(only(path)), path.parent / "out", derivation=derivation, suffix=suffix)
    old, new = sitk.ReadImage(path), sitk.ReadImage(written.path)
    for of in (sitk.Image.GetSpacing, sitk.Image.GetOrigin, sitk.Image.GetDirection):
        assert of(new) == of(old)
    if suffix == "denoised":
        np.testing.assert_array_equal(sitk.GetArrayFromImage(new), VALUES)
    return written.path


@pytest.mark.parametrize(
    ("space", "turned"),
    [
        ("LPS", "(0,1,0) (-1,0,0) (0,0,0.5)"),
        ("right-anterior-superior", "(0,-1,0) (1,0,0) (0,0,0.5)"),
        ("LAS", "(0,-1,0) (-1,0,0) (0,0,0.5)"),
    ],
)
@pytest.mark.parametrize("name", ["measurement frame", "measurementframe"])
def test_a_measurement_frame_is_kept(
    tmp_path: Path, derivation: Derivation, space: str, turned: str, name: str
) -> None:
    """Its columns are vectors of the space, and the output is in LPS (NRRD format definition)."""
    fields = SPACE.replace("LPS", space) + f"{name}: (0,1,0) (-1,0,0) (0,0,0.5)\n"
    new = header(copied(nrrd(tmp_path / "a.nrrd", fields), derivation))
    assert new["space"] == "left-posterior-superior"
    assert new["measurement frame"] == turned


@pytest.mark.parametrize(
    ("unit", "mm"),
    [("mm", 1), ("um", 1e-3), ("\u00b5m", 1e-3), ("microns", 1e-3), ("cm", 10), ("m", 1000), ("", 1)],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_lengths_have_the_unit_of_an_nrrd_file(
    tmp_path: Path, derivation: Derivation, unit: str, mm: float, encoding: str
) -> None:
    units = f'"{unit}" "{unit}" "{unit}"'
    path = nrrd(tmp_path / "a.nrrd", f"{SPACE}space units: {units}\n", encoding)
    volume = read(only(path))
    assert volume.spacing == pytest.approx((100 * mm, 90 * mm, 80 * mm))
    np.testing.assert_allclose(volume.affine[:3, 3], np.array([10, 20, 30]) * mm)
    assert only(path).spacing == pytest.approx(volume.spacing)
    data = copied(path, derivation).read_bytes()
    assert f"\nspace units: {units}\n".encode(encoding) in data


def test_units_of_single_axes(tmp_path: Path, derivation: Derivation) -> None:
    path = nrrd(tmp_path / "a.nrrd", 'spacings: 80 90 100\nunits: "um" "um" "um"\n')
    assert read(only(path)).spacing == pytest.approx((0.1, 0.09, 0.08))
    assert header(copied(path, derivation))["space units"] == '"um" "um" "um"'


def test_other_fields_of_nrrd_are_kept(tmp_path: Path, derivation: Derivation) -> None:
    fields = 'content: chest\nsample units: HU\nthicknesses: NaN NaN 4\nlabels: "x" "y" "z"\n'
    path = nrrd(tmp_path / "a.nrrd", f"{SPACE}{fields}centerings: cell cell cell\nkey:=value\n")
    for suffix in ("denoised", "residual"):
        new = header(copied(path, derivation, suffix))
        assert new["content"] == "chest"
        assert new["sample units"] == "HU"
        assert new["thicknesses"] == "NaN NaN 4"
        assert new["labels"] == '"x" "y" "z"'
        assert new["centerings"] == "cell cell cell"
        assert new["key"] == "value"


def test_a_compressed_file_keeps_them_too(tmp_path: Path, derivation: Derivation) -> None:
    image = sitk.GetImageFromArray(VALUES)
    sitk.WriteImage(image, tmp_path / "a.nrrd", True)
    data = (tmp_path / "a.nrrd").read_bytes()
    frame = b"measurement frame: (1,0,0) (0,1,0) (0,0,1)\n\n"
    (tmp_path / "a.nrrd").write_bytes(data.replace(b"\n\n", b"\n" + frame, 1))
    new = copied(tmp_path / "a.nrrd", derivation)
    assert header(new)["encoding"] == "gzip"
    assert header(new)["measurement frame"] == "(1,0,0) (0,1,0) (0,0,1)"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        (f'{SPACE}space units: "furlong" "furlong" "furlong"\n', "space units"),
        (f'{SPACE}space units: "mm" "mm" "um"\n', "space units"),
        ("axis mins: 0 0 0\naxis maxs: 12 12 30\ncenterings: cell cell cell\n", "axis mins"),
        ("axismaxs: 12 12 30\n", "axis mins"),
        (f"{SPACE}old min: 3\nold max: 700\n", "old min"),
    ],
)
def test_what_is_refused_of_nrrd(tmp_path: Path, fields: str, detail: str) -> None:
    reason, why = refused(nrrd(tmp_path / "a.nrrd", fields))
    assert reason is Reason.UNSUPPORTED_LAYOUT
    assert why.startswith(detail)


def test_a_damaged_measurement_frame(tmp_path: Path) -> None:
    for frame in ("(1,0,0) (0,1,0)", "(1,0,0) (0,x,0) (0,0,1)", "none"):
        path = nrrd(tmp_path / "a.nrrd", f"{SPACE}measurement frame: {frame}\n")
        assert refused(path)[0] is Reason.DAMAGED_HEADER


@pytest.mark.parametrize(("slope", "offset"), [("1", "-1024"), ("2", "0"), ("0.5", "-3.5"), ("-1", "7")])
def test_the_intensity_function_of_metaimage(
    tmp_path: Path, derivation: Derivation, slope: str, offset: str
) -> None:
    """MetaIO: intensity = slope x element + offset."""
    names = [f"ElementToIntensityFunction{word}" for word in ("Slope", "Offset")]
    path = meta(tmp_path / "a.mha", f"{META}{names[0]} = {slope}\n{names[1]} = {offset}\n")
    volume = read(only(path))
    np.testing.assert_allclose(volume.array, VALUES * float(slope) + float(offset))
    assert any("ElementToIntensityFunction" in note for note in only(path).notes)
    new = copied(path, derivation)
    assert [header(new)[name] for name in names] == [slope, offset]
    # A change of one step of the intensity is a change of 1 / slope of the element.
    changed = volume.with_array(volume.array + np.float32(slope))
    elements = sitk.GetArrayFromImage(
        sitk.ReadImage(write(changed, tmp_path / "b", derivation=derivation).path)
    )
    np.testing.assert_array_equal(elements, VALUES + 1)
    residual = write(changed, tmp_path / "c", derivation=derivation, suffix="residual").path
    assert not set(names) & set(header(residual))
    np.testing.assert_allclose(sitk.GetArrayFromImage(sitk.ReadImage(residual)), changed.array)


def test_an_intensity_function_that_is_none(tmp_path: Path) -> None:
    for value, reason in (
        ("0", Reason.RESCALE),
        ("x", Reason.DAMAGED_HEADER),
        ("1 2", Reason.DAMAGED_HEADER),
    ):
        path = meta(tmp_path / "a.mha", f"{META}ElementToIntensityFunctionSlope = {value}\n")
        assert refused(path)[0] is reason


def test_fields_of_metaimage_are_kept(tmp_path: Path, derivation: Derivation) -> None:
    told = {
        "Comment": "what it is", "Modality": "MET_MOD_CT", "Name": "chest", "ID": "3", "Color": "1 0 0 1",
        "SequenceID": "1 2 3", "ElementSize": "80 90 60", "AcquisitionDate": "2001-02-03", "key": "value",
    }  # fmt: skip
    path = meta(tmp_path / "a.mha", META + "".join(f"{k} = {v}\n" for k, v in told.items()))
    for suffix in ("denoised", "residual"):
        new = copied(path, derivation, suffix)
        assert {k: header(new).get(k) for k in told} == told
        assert only(new).modality == "CT"
        data = new.read_bytes()
        assert all(data.count(f"\n{name} = ".encode()) == 1 for name in told)
    again = copied(new, derivation, "residual")  # and once more
    assert {k: header(again).get(k) for k in told} == told


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("um", 1e-3), ("cm", 10), ("?", 1)])
def test_lengths_have_the_unit_of_a_metaimage(
    tmp_path: Path, derivation: Derivation, unit: str, mm: float
) -> None:
    path = meta(tmp_path / "a.mha", f"{META}DistanceUnits = {unit}\n")
    volume = read(only(path))
    assert volume.spacing == pytest.approx((100 * mm, 90 * mm, 80 * mm))
    np.testing.assert_allclose(volume.affine[:3, 3], np.array([10, 20, 30]) * mm)
    assert header(copied(path, derivation))["DistanceUnits"] == unit


def test_an_unknown_unit_of_a_metaimage(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", f"{META}DistanceUnits = furlong\n")
    assert refused(path) == (Reason.UNSUPPORTED_LAYOUT, "DistanceUnits furlong")
