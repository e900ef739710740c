"""What a user is told of values that are no HU, no magnitude, or no longer the scanner's; and the unit."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medidiff.io import Reason, discover, read


@pytest.mark.parametrize(
    ("kind", "unit", "told"),
    [
        ("HU", "HU", False), ("hu", "HU", False), ("US", "HU", False), (None, "HU", False),
        ("HU_MOD", "HU", False), ("MGML", "a.u.", True), ("ED", "a.u.", True), ("Z_EFF", "a.u.", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("enhanced", [False, True])
def test_ct_in_other_units_than_hu(
    tmp_path: Path, kind: str | None, unit: str, told: bool, enhanced: bool
) -> None:
    """Defined Terms of Rescale Type (C.11.1.1.2): MGML iodine, ED electron density, Z_EFF atomic number."""

    def change(ds: Dataset, k: int) -> None:
        ds.pop("RescaleType", None)
        if kind:
            ds.RescaleType = kind

    if enhanced:
        make_enhanced(
            tmp_path / "a.dcm", change_frame=lambda g, k: change(g.PixelValueTransformationSequence[0], k)
        )
    else:
        make_series(tmp_path, change=change)
    (item,) = discover([tmp_path]).items
    assert read(item).unit == unit
    assert any("not in HU" in note for note in item.notes) == told


@pytest.mark.parametrize("modality", [None, "", "OT"])
def test_the_sop_class_says_that_it_is_ct(tmp_path: Path, modality: str | None) -> None:
    def change(ds: Dataset, k: int) -> None:
        if modality is None:
            del ds.Modality
        else:
            ds.Modality = modality

    make_series(tmp_path, change=change)
    assert read(discover([tmp_path]).items[0]).unit == "HU"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (["M", "ND"], ""), (["DIFFUSION", "TRACEW"], ""), (["OTHER"], ""),
        (["P", "ND"], "phase"), (["VELOCITY MAP", "P", "FFE"], "phase"),
        (["R_FFE", "R", "FFE"], "real or imaginary"), (["I"], "real or imaginary"),
        (["DIFFUSION", "ADC", "ND"], "computed map"), (["T2 MAP"], "computed map"),
        (["B0 MAP", "B0", "UNSPECIFIED"], "computed map"), (["M", "ND", "UNI"], "computed map"),
    ],
)  # fmt: skip
def test_mr_that_is_no_magnitude(tmp_path: Path, kind: list[str], words: str) -> None:
    make_series(
        tmp_path, modality="MR", change=lambda ds, k: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", *kind])
    )
    notes = "; ".join(discover([tmp_path]).items[0].notes)
    assert words in notes if words else not notes


@pytest.mark.parametrize("vr", ["SS", "UN"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_ge_tells_phase_real_and_imaginary_in_an_element_of_its_own(
    tmp_path: Path, vr: str, syntax: str
) -> None:
    """(0043,102F): magnitude 0, phase 1, real 2, imaginary 3; all of one series and Image Type."""

    def change(ds: Dataset, k: int) -> None:
        block = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x2F, vr, k % 4 if vr == "SS" else bytes([k % 4, 0]))

    depths = [3.0 * (k // 4) for k in range(12)]
    make_series(tmp_path, modality="MR", depths=depths, change=change, syntax=syntax)
    items = discover([tmp_path]).items
    assert [item.shape[0] for item in items] == [3, 3, 3, 3]
    assert all(item.regular for item in items)
    told = sorted("; ".join(item.notes).split(":")[0] for item in items)
    assert told == ["", "a phase image", "a real or imaginary image", "a real or imaginary image"]
    for item in items:
        components = {(pydicom.dcmread(f).InstanceNumber - 1) % 4 for f in item.files}
        assert len(components) == 1


def test_lossy_sources_are_told_of(tmp_path: Path) -> None:
    make_series(tmp_path, change=lambda ds, k: setattr(ds, "LossyImageCompression", "01" if k else "00"))
    (note,) = discover([tmp_path]).items[0].notes
    assert "lossy" in note


def test_ct_in_two_units_is_two_stacks(tmp_path: Path) -> None:
    make_series(
        tmp_path, slices=6, change=lambda ds, k: setattr(ds, "RescaleType", "HU" if k < 4 else "MGML")
    )
    assert sorted((i.shape[0], read(i).unit) for i in discover([tmp_path]).items) == [(2, "a.u."), (4, "HU")]


@pytest.mark.parametrize(("term", "reason"), [("LOCALIZER", Reason.LOCALIZER), ("MOSAIC", Reason.MOSAIC)])
def test_values_of_image_type_may_be_padded(tmp_path: Path, term: str, reason: Reason) -> None:
    """PS3.5 6.2: padding of CS does not count, wherever it stands."""
    kind = ["ORIGINAL ", "PRIMARY", f"{term} ", "X"]
    make_series(tmp_path, slices=1, change=lambda ds, k: setattr(ds, "ImageType", kind))
    assert [s.reason for s in discover([tmp_path]).skipped] == [reason]
