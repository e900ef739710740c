"""The attribute tables of the conformance statement against what the writer does, both ways round."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_enhanced import make_enhanced
from dicom_series import make_series
from pydicom.datadict import DicomDictionary, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from medidiff.io import Derivation, discover, read, write
from medidiff.io.dicom.derived_header import derive
from medidiff.io.dicom.identity import Identity, Source

STATEMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
TAG = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")

DUMMY = {
    "AE": "X", "AS": "030Y", "AT": 0x00100010, "CS": "X", "DA": "20200101", "DS": "7", "DT": "20200101",
    "FL": 7.0, "FD": 7.0, "IS": "7", "LO": "x", "LT": "x", "OB": b"\0\0", "OD": bytes(8), "OF": bytes(4),
    "OL": bytes(4), "OV": bytes(8), "OW": b"\0\0", "PN": "x", "SH": "x", "SL": 7, "SS": 7, "ST": "x", "SV": 7,
    "TM": "101010", "UC": "x", "UI": "1.2.3", "UL": 7, "UN": b"\0\0", "UR": "x", "US": 7, "UT": "x", "UV": 7,
}  # fmt: skip
"""A value for each VR."""

ME = Identity(
    "1.2.9", "1.2.9.4", 1004, (Source("1.2.840.10008.5.1.4.1.1.2", "1.9.1"),), "denoised",
    datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
)  # fmt: skip


def table(title: str) -> dict[str, str]:
    """Keyword to "what is written" of the table below a heading; checks the tags."""
    text = STATEMENT.read_text(encoding="utf-8").split(f"### {title}\n")[1].split("\n#")[0]
    found: dict[str, str] = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split(" | ")]
        if len(cells) < 3 or not TAG.search(cells[1]):
            continue
        keywords, tags = cells[0].split(", "), TAG.findall(cells[1])
        for keyword, tag in zip(keywords, tags, strict=True):
            assert tag_for_keyword(keyword) == int("".join(tag), 16), f"{keyword} ({tag[0]},{tag[1]})"
            assert keyword not in found, keyword
            found[keyword] = cells[2]
    return found


CLASSIC = table("Attributes of every derived image")
ENHANCED = table("Enhanced images")


def maximal(modality: str) -> Dataset:
    """A header with every attribute that the dictionary has, groups 0008 to FFFC."""
    ds = Dataset()
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if tag >> 16 <= 2 or not keyword or retired or keyword in ("PixelData", "LengthToEnd"):
            continue
        if vr == "SQ":
            ds.add_new(tag, "SQ", [Dataset()])
        elif (first := vr.split(" or ")[0]) in DUMMY:
            ds.add_new(tag, first, DUMMY[first])
    ds.ImageType, ds.Modality, ds.TimezoneOffsetFromUTC = ["ORIGINAL", "PRIMARY", "AXIAL"], modality, "+0100"
    ds.PixelData, ds.SpecificCharacterSet = b"\0\0", "ISO_IR 100"
    return ds


def changes(old: Dataset, new: Dataset) -> tuple[set[str], set[str]]:
    """Keywords of elements that are set anew, and of those that are gone."""
    tags = {e.tag for e in (*old, *new)}
    kept = {
        t for t in tags if t in old and t in new and old[t].value == new[t].value and old[t].VR == new[t].VR
    }
    gone = {t for t in tags if t not in new}
    return {keyword_for_tag(t) for t in tags - kept - gone}, {keyword_for_tag(t) for t in gone}


def derived(source: Dataset, derivation: Derivation, suffix: str) -> Dataset:
    return derive(source, derivation, replace(ME, suffix=suffix), keep_private=False)


@pytest.mark.parametrize("suffix", ["denoised", "residual", "uncertainty"])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_every_change_of_a_header_is_in_the_table(derivation: Derivation, modality: str, suffix: str) -> None:
    source = maximal(modality)
    for operation in ("denoise", "simulate", "copy"):
        asked = replace(derivation, operation=operation, synthetic_data=True)  # type: ignore[arg-type]
        anew, gone = changes(source, derived(source, asked, suffix))
        assert anew | gone - {"PixelData"} <= set(CLASSIC)
        for keyword in gone - {"PixelData"}:
            assert "Removed" in CLASSIC[keyword], keyword


def written(tmp_path: Path, derivation: Derivation, suffix: str, factor: float, **knobs: object) -> set[str]:
    """Keywords of all elements that differ between a source file and what is written of it."""
    source, out = tmp_path / f"in_{len(list(tmp_path.iterdir()))}", tmp_path / "out"
    make_series(source, slices=1, **knobs)  # type: ignore[arg-type]
    (item,) = discover([source]).items
    volume = read(item)
    new = write(
        volume.with_array(np.float32(factor) * volume.array), out, derivation=derivation, suffix=suffix,
        overwrite=True,
    )  # fmt: skip
    anew, gone = changes(pydicom.dcmread(item.files[0]), pydicom.dcmread(new.files[0]))
    return anew | gone


def _in_eight_bits(ds: Dataset, k: int) -> None:
    ds.BitsAllocated, ds.PixelData = 8, bytes(ds.Rows * ds.Columns)
    ds["PixelData"].VR = "OB"


def test_the_table_has_nothing_that_never_happens(tmp_path: Path, derivation: Derivation) -> None:
    seen: set[str] = set()
    for modality in ("CT", "MR", "PT"):
        source = maximal(modality)
        for suffix in ("denoised", "residual"):
            for asked in (derivation, replace(derivation, synthetic_data=True)):
                seen |= set().union(*changes(source, derived(source, asked, suffix)))
    twelve = {"bits_stored": 12, "signed": False, "intercept": -1024.0}
    seen |= written(tmp_path, derivation, "denoised", 3.0, **twelve)  # a new scale
    seen |= written(tmp_path, derivation, "residual", 1.0, modality="CT", **twelve)
    seen |= written(  # a map without rescale
        tmp_path, derivation, "residual", 1.0, modality="MR", slope=None,
        stored=np.full((1, 6, 8), 4000, np.int16), change=lambda ds, k: setattr(ds, "RescaleType", "US"),
    )  # fmt: skip
    seen |= {"HighBit"} & written(
        tmp_path, derivation, "denoised", 1.0, bits_stored=12, signed=False,
        change=lambda ds, k: setattr(ds, "HighBit", 15),
    )  # fmt: skip
    eight = {"stored": np.zeros((1, 6, 8), np.uint8), "bits_stored": 8, "signed": False}
    seen |= written(tmp_path, derivation, "residual", 1.0, change=_in_eight_bits, **eight)
    assert set(CLASSIC) - seen == set()


def test_what_is_written_into_a_file_is_in_the_table(tmp_path: Path, derivation: Derivation) -> None:
    for suffix in ("denoised", "residual", "uncertainty"):
        for modality, slope in (("CT", 1.0), ("MR", None), ("PT", 0.01)):
            for factor in (0.5, 3.0, 60.0):
                found = written(
                    tmp_path, derivation, suffix, factor, modality=modality, slope=slope,
                    intercept=0.0 if slope else None, bits_stored=12, signed=False, padding=0,
                )  # fmt: skip
                assert found <= set(CLASSIC), (suffix, modality, factor)


def map_values(group: Dataset, k: int) -> None:
    mapping = Dataset()
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 2.0, 1.0
    mapping.add_new("RealWorldValueFirstValueMapped", "SS", 0)
    mapping.add_new("RealWorldValueLastValueMapped", "SS", 100)
    group.RealWorldValueMappingSequence = [mapping]
    kept = Dataset()
    kept.StationName, kept.ProtocolName = "ROOM", "x"
    group.UnassignedPerFrameConvertedAttributesSequence = [kept]


def enhanced_changes(
    folder: Path, derivation: Derivation, suffix: str, factor: float, **knobs: object
) -> tuple[set[str], set[str]]:
    """Keywords that change at the root of an enhanced image, and functional groups that change."""

    def concatenate(ds: Dataset) -> None:
        ds.ConcatenationUID, ds.SOPInstanceUIDOfConcatenationSource = "1.2.3", "1.2.4"
        ds.InConcatenationNumber, ds.InConcatenationTotalNumber, ds.ConcatenationFrameOffsetNumber = 1, 1, 0
        ds.InstanceNumber = 5
        del ds.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence  # a frame that is no slice
        ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [Dataset()]
        ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence[0].StationName = "X"
        ds.IconImageSequence, ds.SourceImageEvidenceSequence = [Dataset()], [Dataset()]
        ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = bytes(8), bytes(8)

    make_enhanced(
        folder / "in", slices=3, bits_stored=12, signed=False, change=concatenate, change_frame=map_values,
        **knobs,
    )  # fmt: skip
    (item,) = discover([folder / "in"]).items
    volume = read(item)
    new = write(
        volume.with_array(np.float32(factor) * volume.array),
        folder / "out",
        derivation=derivation,
        suffix=suffix,
    )
    a, b = pydicom.dcmread(folder / "in"), pydicom.dcmread(new.files[0])
    groups: set[str] = set()
    for place in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for old, now in zip(a[place].value, b[place].value, strict=False):
            groups |= set().union(*changes(old, now))
    return set().union(*changes(a, b)), groups


def test_enhanced_images_change_as_their_table_says(tmp_path: Path, derivation: Derivation) -> None:
    roots: set[str] = set()
    groups: set[str] = set()
    runs = [
        ("denoised", 0.5, "CT"),
        ("denoised", 3.0, "CT"),
        ("residual", 1.0, "MR"),
        ("uncertainty", 1.0, "CT"),
    ]
    for k, (suffix, factor, modality) in enumerate(runs):
        folder = tmp_path / str(k)
        changed = enhanced_changes(folder, derivation, suffix, factor, modality=modality)
        roots, groups = roots | changed[0], groups | changed[1]
    assert roots <= {*CLASSIC, *ENHANCED}
    assert groups <= set(ENHANCED)
    never = set(ENHANCED) - roots - groups
    assert never == {"PETFrameTypeSequence"}  # no enhanced PET here; see test_enhanced_writer
    inside = {"DerivationDescription", "DerivationCodeSequence", "SourceImageSequence"}
    assert not inside & roots
