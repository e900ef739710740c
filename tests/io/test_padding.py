"""Padding however scanners write it: above Bits Stored, with the wrong VR, or not readable at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from medidiff.io import Derivation, SeriesItem, discover, read, write

ROUND = np.hypot(*(np.mgrid[:6, :8] - np.array([2.5, 3.5])[:, None, None])) > 3.5
"""Outside of the round field of view."""
WORD = 63536  # -2000 as scanners write it; its low 12 bits are 2096


def words(ds: Dataset) -> np.ndarray:
    """The words as they lie in the file."""
    return np.frombuffer(ds.PixelData, "<u2").reshape(-1, ds.Rows, ds.Columns)


def twelve_bits() -> np.ndarray:
    stored = np.random.default_rng(3).integers(0, 4096, (3, 6, 8)).astype(np.uint16)
    stored[:, 2, 3] = WORD & 0xFFF  # an image value that is none: bone of 1072 HU
    stored[:, ROUND] = WORD
    return stored


def written(item: SeriesItem, out: Path, derivation: Derivation, factor: float) -> list[Dataset]:
    volume = read(item)
    new = write(volume.with_array(np.float32(factor) * volume.array), out, derivation=derivation)
    return [pydicom.dcmread(p) for p in new.files]


TWELVE = {"bits_stored": 12, "signed": False, "padding": WORD, "intercept": -1024.0}


@pytest.mark.parametrize("compress", [None, RLELossless])
def test_padding_above_the_stored_bits(tmp_path: Path, derivation: Derivation, compress: str | None) -> None:
    stored = twelve_bits()
    make_series(tmp_path / "in", stored=stored, depths=[0, 3, 6], compress=compress, **TWELVE)
    (item,) = discover([tmp_path / "in"]).items
    padding = read(item).padding
    assert padding is not None
    np.testing.assert_array_equal(padding, np.broadcast_to(ROUND, padding.shape))
    for new, old in zip(written(item, tmp_path / "out", derivation, 0.5), stored, strict=True):
        assert new.PixelPaddingValue == WORD
        assert (new.BitsStored, new.HighBit) == (12, 11)
        assert (words(new)[0][ROUND] == WORD).all()
        real = words(new)[0].astype(float) - 1024
        np.testing.assert_allclose(real[~ROUND], (old[~ROUND].astype(float) - 1024) / 2, atol=0.5)


def test_padding_above_the_stored_bits_of_enhanced_frames(tmp_path: Path, derivation: Derivation) -> None:
    stored = twelve_bits()
    make_enhanced(tmp_path / "a.dcm", stored=stored, depths=[0, 3, 6], **TWELVE)
    (item,) = discover([tmp_path / "a.dcm"]).items
    (new,) = written(item, tmp_path / "out", derivation, 0.5)
    assert (words(new)[:, ROUND] == WORD).all()
    assert not (words(new)[:, ~ROUND] == WORD).any()


def test_a_copy_has_the_words_of_its_source(tmp_path: Path, derivation: Derivation) -> None:
    stored = twelve_bits()
    stored[:, 0] |= 0x3000  # rubbish above the stored bits (PS3.5 8.1.1)
    make_series(tmp_path / "in", stored=stored, depths=[0, 3, 6], **TWELVE)
    (item,) = discover([tmp_path / "in"]).items
    copies = written(item, tmp_path / "out", replace(derivation, operation="copy", strength=0.0), 1.0)
    np.testing.assert_array_equal([words(d)[0] for d in copies], stored)


def test_a_map_has_no_padding(tmp_path: Path, derivation: Derivation) -> None:
    make_series(tmp_path / "in", stored=twelve_bits(), depths=[0, 3, 6], **TWELVE)
    (item,) = discover([tmp_path / "in"]).items
    new = write(read(item), tmp_path / "out", derivation=derivation, suffix="residual")
    assert (pydicom.dcmread(new.files[0]).pixel_array[ROUND] == 0).all()


def put(vr: str, value: bytes, tag: int = 0x00280120) -> object:
    def change(ds: Dataset, k: int) -> None:
        ds[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

    return change


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("DS", b"-500"), ("IS", b"-500"), ("LO", b"-500"), ("OW", b"\x0c\xfe"), ("UN", b"\x0c\xfe"),
        ("FL", np.float32(-500).tobytes()), ("SL", np.int32(-500).tobytes()), ("DS", b"-500.0"),
    ],
)  # fmt: skip
def test_padding_of_any_vr_that_holds_a_number(
    tmp_path: Path, derivation: Derivation, vr: str, value: bytes
) -> None:
    stored = np.random.default_rng(3).integers(0, 1000, (3, 6, 8)).astype(np.int16)
    stored[:, ROUND] = -500
    make_series(tmp_path / "in", stored=stored, depths=[0, 3, 6], change=put(vr, value))  # type: ignore[arg-type]
    (item,) = discover([tmp_path / "in"]).items
    assert not item.notes
    for new in written(item, tmp_path / "out", derivation, 0.5):
        assert (new.pixel_array[ROUND] == -500).all()
        assert (new.pixel_array[~ROUND] < 501).all()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_raw_bytes_have_the_byte_order_of_the_file(
    tmp_path: Path, derivation: Derivation, syntax: str
) -> None:
    order = "big" if syntax == ExplicitVRBigEndian else "little"
    stored = np.random.default_rng(3).integers(0, 1000, (3, 6, 8)).astype(np.int16)
    stored[:, ROUND] = -500
    change = put("OW", (-500).to_bytes(2, order, signed=True))  # type: ignore[arg-type]
    make_series(tmp_path / "in", stored=stored, depths=[0, 3, 6], syntax=syntax, change=change)  # type: ignore[arg-type]
    (item,) = discover([tmp_path / "in"]).items
    for new in written(item, tmp_path / "out", derivation, 0.5):
        assert (new.pixel_array[ROUND] == -500).all()


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00280120, "LO", b"none"), (0x00280120, "OW", b"\x01\x02\x03\x04"), (0x00280120, "DS", b"-0.5"),
        (0x00280120, "DS", b"9e9 "), (0x00280120, "US", b"\x01\x00\x02\x00"), (0x00280121, "LO", b"none"),
    ],
)  # fmt: skip
def test_padding_that_holds_no_number_is_said_to_be_unknown(
    tmp_path: Path, tag: int, vr: str, value: bytes
) -> None:
    make_series(tmp_path, padding=-2000, change=put(vr, value, tag))  # type: ignore[arg-type]
    (item,) = discover([tmp_path]).items
    (note,) = item.notes
    assert f"(0028,{tag & 0xFFFF:04X})" in note
    assert "no whole number" in note
    assert "none" not in note
    assert read(item).array.shape == item.shape
