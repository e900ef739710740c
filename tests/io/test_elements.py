"""Text comes out with the bytes it had, whatever character set it claims."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from medidiff.io import Derivation, discover, read, write

TEXTS = [
    ("ISO_IR 100", "Müller^J".encode("latin-1")),
    ("ISO_IR 100", "Müller^J".encode()),  # not what it claims
    ("ISO_IR 192", "Müller^J".encode("latin-1")),  # not even text
    ("ISO_IR 192", "王^小東=漢^字".encode()),
    ("GB18030", b"Wang\xff\xff^X"),
    (["", "ISO 2022 IR 87"], b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    (["", "ISO 2022 IR 149"], b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
    ("ISO_IR 999", b"M\xfcller^J"),
    (None, b"M\xfcller^J"),
]
HELD = ("PatientName", "StudyDescription", "Manufacturer", "ImageComments")


def broken(folder: Path, charset: object, text: bytes, **knobs: object) -> Path:
    """A series whose text elements hold these bytes."""
    text += b" " * (len(text) % 2)
    stand_in = "".join(chr(65 + k % 26) for k in range(len(text)))

    def change(ds: Dataset, k: int) -> None:
        ds.SpecificCharacterSet = charset
        if charset is None:
            del ds.SpecificCharacterSet
        for keyword in HELD:
            setattr(ds, keyword, stand_in)
        item = Dataset()
        item.CodeMeaning = stand_in
        item.add_new(0x00090010, "LO", "ACME")
        ds.ProcedureCodeSequence = [item]
        ds.private_block(0x0029, "ACME", create=True).add_new(1, "LO", stand_in)

    make_series(folder, slices=1, change=change, **knobs)  # type: ignore[arg-type]
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), text))
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("charset", "text"), TEXTS)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_text_of_enhanced_images_keeps_its_bytes(
    tmp_path: Path, derivation: Derivation, charset: object, text: bytes, syntax: str
) -> None:
    text += b" " * (len(text) % 2)
    stand_in = "".join(chr(65 + k % 26) for k in range(len(text)))

    def change(ds: Dataset) -> None:
        ds.SpecificCharacterSet = charset
        ds.PatientName = ds.Manufacturer = stand_in
        for group in ds.PerFrameFunctionalGroupsSequence:
            group.FrameContentSequence[0].FrameComments = stand_in

    make_enhanced(tmp_path / "in.dcm", slices=2, syntax=syntax, change=change)
    data = (tmp_path / "in.dcm").read_bytes()
    (tmp_path / "in.dcm").write_bytes(data.replace(stand_in.encode(), text))
    (item,) = discover([tmp_path / "in.dcm"]).items
    written = write(read(item), tmp_path / "out", derivation=derivation)
    with pydicom.config.disable_value_validation():
        new = pydicom.dcmread(written.files[0])
        assert raw(new, "PatientName") == text
        assert raw(new.ContributingEquipmentSequence[0], "Manufacturer") == text
        for group in new.PerFrameFunctionalGroupsSequence:
            assert raw(group.FrameContentSequence[0], "FrameComments") == text


def raw(ds: Dataset, keyword: str) -> bytes:
    element = ds.get_item(keyword)
    assert element is not None
    assert element.is_raw
    return bytes(element.value)


@pytest.mark.filterwarnings("ignore")  # pydicom's, about these texts
@pytest.mark.parametrize(("charset", "text"), TEXTS)
@pytest.mark.parametrize("keep_private", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless],
)
def test_text_keeps_its_bytes(
    tmp_path: Path, derivation: Derivation, charset: object, text: bytes, keep_private: bool, syntax: str
) -> None:
    packed = {"compress": syntax} if syntax in (RLELossless, JPEGLSLossless) else {"syntax": syntax}
    source = broken(tmp_path / "in", charset, text, **packed)
    (item,) = discover([source]).items
    written = write(read(item), tmp_path / "out", derivation=derivation, keep_private=keep_private)
    with pydicom.config.disable_value_validation():
        old, new = pydicom.dcmread(source), pydicom.dcmread(written.files[0])
        text += b" " * (len(text) % 2)
        for keyword in ("PatientName", "StudyDescription", "ImageComments", "PatientID"):
            assert raw(new, keyword) == raw(old, keyword), keyword
        assert raw(old, "PatientName") == text
        assert raw(new.ProcedureCodeSequence[0], "CodeMeaning") == text
        assert raw(new.ContributingEquipmentSequence[0], "Manufacturer") == text
        assert new.get("SpecificCharacterSet") == old.get("SpecificCharacterSet")
        held = [e for e in new.iterall() if e.tag.is_private]
        assert bool(held) == keep_private
        if keep_private and syntax != ImplicitVRLittleEndian:
            assert raw(old, (0x0029, 0x1001)) == text  # type: ignore[arg-type]


def test_ambiguous_elements_get_the_vr_of_the_source(tmp_path: Path, derivation: Derivation) -> None:
    def change(ds: Dataset, k: int) -> None:
        lut = Dataset()
        lut.add_new("LUTDescriptor", "SS", [4, -5, 16])
        lut.add_new("LUTData", "OW", bytes(8))
        ds.VOILUTSequence = [lut]
        ds.add_new("PixelPaddingValue", "SS", -2000)

    make_series(tmp_path / "in", slices=1, syntax=ImplicitVRLittleEndian, change=change)
    (item,) = discover([tmp_path / "in"]).items
    for suffix in ("denoised", "residual"):
        new = pydicom.dcmread(write(read(item), tmp_path, derivation=derivation, suffix=suffix).files[0])
        if suffix == "denoised":
            assert (new["PixelPaddingValue"].VR, new.PixelPaddingValue) == ("SS", -2000)
            descriptor = new.VOILUTSequence[0]["LUTDescriptor"]
            assert (descriptor.VR, list(descriptor.value)) == ("SS", [4, -5, 16])
