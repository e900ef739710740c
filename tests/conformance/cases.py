"""Awkward series by kind ("rows"): what is read of each, and how (conformance statement, sections 1 to 3).

Each row is one or more `Case`: a series made with `make_series`, one knob turned, and what medidiff must make
of it. `test_cases.py` checks every case in the same way. Rows that share words belong together.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jpeg_lossless
import numpy as np
from dicom_enhanced import make_enhanced
from dicom_series import make_series, uid
from pydicom import uid as uids
from pydicom.dataset import Dataset

Make = Callable[[Path], Any]
"""Writes files into a folder; gives the real-world values ``[z, y, x]`` by closed form, or None."""


@dataclass(frozen=True)
class Stack:
    """A stack that a series must give.

    Attributes:
        slices: how many.
        breaks: slices (from 1) behind which no context is taken.
        tilt: degrees.
        export: "" where a regular grid is written, or words of the refusal.
    """

    slices: int
    breaks: tuple[int, ...] = ()
    tilt: float = 0.0
    export: str = ""


@dataclass(frozen=True)
class Case:
    """One series and what must come of it.

    Attributes:
        row: words that say what is awkward.
        make: makes the files.
        stacks: what they are, in the order of the first slice.
        skipped: reasons, by name, with the number of files of each.
        note: words that the user is told.
    """

    row: str
    make: Make
    stacks: tuple[Stack, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def series(**knobs: Any) -> Make:
    """`make_series` with some knobs turned; the values are stored values times slope plus intercept."""

    def make(folder: Path) -> np.ndarray:
        stored = make_series(folder, **knobs).astype(np.float64)
        slope, intercept = (
            np.resize(knobs.get(k) or v, len(stored))[:, None, None]
            for k, v in (("slope", 1.0), ("intercept", 0.0))
        )
        return (stored * slope + intercept).astype(np.float32)

    return make


def without_values(*makes: Make) -> Make:
    """Several makes in one folder."""

    def make(folder: Path) -> None:
        for one in makes:
            one(folder)

    return make


def put(keyword: str, *values: Any) -> Callable[[Dataset, int], None]:
    """Sets an element to a value for each slice, in turn; None takes it out."""

    def change(ds: Dataset, k: int) -> None:
        value = values[k % len(values)]
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)

    return change


def both(*changes: Callable[[Dataset, int], None]) -> Callable[[Dataset, int], None]:
    def change(ds: Dataset, k: int) -> None:
        for one in changes:
            one(ds, k)

    return change


def beside(change: Callable[[Dataset, int], None], **knobs: Any) -> Make:
    """A regular series of 4 slices and, in the same series, another instance that is changed."""
    other = {"slices": 1, "first": 20, "name": "other{}".format, "change": change, **knobs}
    return without_values(series(slices=4), series(**other))


def renamed(folder: Path) -> np.ndarray:
    """Numbers, names and folders tell nothing; one file is packed."""
    order = [3, 0, 4, 1, 2]
    values = series(
        change=both(put("InstanceNumber", *order), put("SliceLocation", *(-float(n) for n in order))),
        name=lambda k: f"{order[k]}",
    )(folder)
    for k in range(5):
        (folder / "x" / str(k)).mkdir(parents=True)
        (folder / str(k)).rename(folder / "x" / str(k) / "IMAGE")
    packed = folder / "x" / "3" / "IMAGE"
    packed.write_bytes(gzip.compress(packed.read_bytes()))
    return values


def same_instance_twice(folder: Path) -> np.ndarray:
    values = series()(folder)
    (folder / "again").write_bytes((folder / "IM002.dcm").read_bytes())
    return values


def object_of_class(sop_class: str) -> Callable[[Dataset, int], None]:
    """An object that is no image."""

    def change(ds: Dataset, k: int) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.Modality = "OT"
        for keyword in ("Rows", "Columns", "PixelData", "PhotometricInterpretation", "BitsAllocated"):
            delattr(ds, keyword)

    return change


def secondary_capture(ds: Dataset, k: int) -> None:
    """A dose page: a colour picture without a place."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uids.SecondaryCaptureImageStorage
    del ds.ImagePositionPatient, ds.ImageOrientationPatient
    ds.PhotometricInterpretation, ds.SamplesPerPixel, ds.PlanarConfiguration = "RGB", 3, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(ds.Rows * ds.Columns * 3)


def grey_capture(ds: Dataset, k: int) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = uids.SecondaryCaptureImageStorage


def jpeg_extended(ds: Dataset, k: int) -> None:
    """Its pixels are never looked at: the encoding alone is refused."""
    jpeg_lossless.encapsulated(ds, b"\xff\xd8\xff\xd9", uids.JPEGExtended12Bit)


def cut(folder: Path, name: str = "IM002.dcm", *, keep: int | None = None, bytes_off: int = 50) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: keep or -bytes_off])


def headless(folder: Path) -> np.ndarray:
    values = series()(folder)
    path = folder / "IM004.dcm"
    path.write_bytes(path.read_bytes()[132:])
    return values


def palette(ds: Dataset, k: int) -> None:
    ds.PhotometricInterpretation, ds.PixelRepresentation = "PALETTE COLOR", 0
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", bytes(512))


def float_pixels(ds: Dataset, k: int) -> None:
    ds.FloatPixelData = np.ones((ds.Rows, ds.Columns), np.float32).tobytes()
    del ds.PixelData
    ds.BitsAllocated = 32


def modality_lut(ds: Dataset, k: int) -> None:
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType, item.LUTData = [2, 0, 16], "US", bytes(4)
    ds.ModalityLUTSequence = [item]
    del ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType


def unused_bits(high: int) -> Make:
    """12 signed bits of 16 with the high bit in one place or another, and rubbish in the rest."""

    def make(folder: Path) -> np.ndarray:
        truth = np.random.default_rng(4).integers(-2048, 2047, (3, 6, 8), endpoint=True)
        up = high - 11
        raw = ((truth & 0xFFF) << up | (0xA5A5 & ~(0xFFF << up))).astype(np.uint16)

        def change(ds: Dataset, k: int) -> None:
            ds.PixelData, ds.HighBit = raw[k].tobytes(), high

        make_series(folder, stored=truth.astype(np.int16), depths=[0, 3, 6], bits_stored=12, change=change)
        return truth.astype(np.float32)

    return make


def interleaved(keyword: str, a: Any, b: Any) -> Make:
    """Two volumes at the same places, slices in turn."""
    return series(modality="MR", slope=None, depths=[0, 0, 3, 3, 6, 6, 9, 9], change=put(keyword, a, b))


def enhanced(**knobs: Any) -> Make:
    return lambda folder: make_enhanced(folder / "E", **knobs).astype(np.float32)


UPRIGHT = [1, 0, 0, 0, 1, 0]
GAP = "slices 3 and 4 are 6.00 mm apart, most 3.00 mm"
ONE = (Stack(5),)
REPEATS = Stack(5, breaks=(1, 2, 3, 4), export="repeats the position")
LOSSLESS = {
    "RLE": {"compress": uids.RLELossless},
    "J2K": {"compress": uids.JPEG2000Lossless, "shape": (40, 36)},
    "JPEG-LS": {"compress": uids.JPEGLSLossless},
    "JPEG lossless": {"change": jpeg_lossless.compress, "signed": False},
    "deflated": {"syntax": uids.DeflatedExplicitVRLittleEndian},
    "big-endian": {"syntax": uids.ExplicitVRBigEndian},
    "implicit VR": {"syntax": uids.ImplicitVRLittleEndian},
}
OBJECTS = {
    "SR": uids.BasicTextSRStorage, "RTSTRUCT": uids.RTStructureSetStorage, "SEG": uids.SegmentationStorage,
    "raw data": uids.RawDataStorage, "PR": uids.GrayscaleSoftcopyPresentationStateStorage,
}  # fmt: skip

CASES = [
    Case("regular", series(), ONE),
    Case("slice missing", series(depths=[0, 3, 6, 12, 15]), (Stack(5, breaks=(3,), export=GAP),), note=GAP),
    Case("2 mm, then 5 mm", series(depths=[0, 2, 4, 6, 11, 16]),
         (Stack(6, breaks=(4, 5), export="slices 4 and 5 are 5.00 mm apart, most 2.00 mm"),)),
    Case("gantry tilt (15 degrees)", series(tilt=15.0, change=put("GantryDetectorTilt", "0")),
         (Stack(5, tilt=15.0, export="tilt 15.0 degrees"),), note="tilt 15.0 degrees"),
    Case("a tilt that is only claimed", series(change=put("GantryDetectorTilt", "20")), ONE),
    Case("localizer in the series",
         beside(put("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), orientation=(1, 0, 0, 0, 0, -1)),
         (Stack(4),), {"LOCALIZER": 1}),
    Case("localizer that is only turned", beside(lambda ds, k: None, orientation=(1, 0, 0, 0, 0, -1)),
         (Stack(1), Stack(4))),
    Case("duplicated position: same SOPInstanceUID twice", same_instance_twice, ONE, {"DUPLICATE": 1}),
    Case("duplicated position: split by acquisition",
         series(depths=[0, 0, 3, 3, 6, 6], change=put("AcquisitionNumber", 1, 2)), (Stack(3), Stack(3))),
    Case("duplicated position: split by time",
         series(depths=[0, 0, 3, 3, 6, 6], change=put("AcquisitionTime", "101112", "101512")),
         (Stack(3), Stack(3))),
    Case("duplicated position: does not divide evenly", without_values(series(depths=[0, 3, 3, 6, 9])),
         (REPEATS,), note="1 slice repeats the position of another"),
    Case("slope or intercept per slice",
         series(modality="PT", slope=[1.0, 0.37, 2.5, 0.0123456789, 41.0]), ONE),
    Case("intercept per slice", series(intercept=[-1024.0, -1000.5, 0.0, 3.25, -1024.0]), ONE),
    Case("shuffled InstanceNumber, file names, folders; no extension; gzip", renamed, ONE),
    Case("PixelSpacing changes mid-series",
         series(change=put("PixelSpacing", *[[0.7, 0.8]] * 3, [0.7, 0.81])),
         (Stack(4, breaks=(3,), export="6.00 mm apart"), Stack(1))),
    Case("Rows/Columns change",
         without_values(series(slices=3), series(slices=2, shape=(8, 8), first=9, name="B{}".format)),
         (Stack(3), Stack(2))),
    Case("two AcquisitionNumbers, positions continuous",
         series(slices=6, change=put("AcquisitionNumber", 1, 1, 1, 2, 2, 2)), (Stack(6),)),
    Case("orientation jitter 1e-8",
         series(change=put("ImageOrientationPatient", UPRIGHT, [1, 1.7e-8, 0, -1.7e-8, 1, 0])), ONE),
    Case("orientation differs by 1e-2",
         series(change=put("ImageOrientationPatient", *[UPRIGHT] * 4, [1, 0.01, 0, -0.01, 1, 0])),
         (Stack(4), Stack(1))),
    Case("interleaved volumes: b-values", interleaved("DiffusionBValue", 0.0, 800.0), (Stack(4), Stack(4))),
    Case("interleaved volumes: echoes", interleaved("EchoTime", "2.46", "4.92"), (Stack(4), Stack(4))),
    Case("interleaved volumes: time", interleaved("TemporalPositionIdentifier", 1, 2), (Stack(4), Stack(4))),
    Case("interleaved volumes: phase",
         interleaved("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
         (Stack(4), Stack(4))),
    Case("no FrameOfReferenceUID: absent", series(change=put("FrameOfReferenceUID", None)), ONE,
         note="no Frame of Reference UID"),
    Case("no FrameOfReferenceUID: empty", series(change=put("FrameOfReferenceUID", "")), ONE,
         note="no Frame of Reference UID"),
    Case("no position", beside(put("ImagePositionPatient", None)), (Stack(4),), {"NO_POSITION": 1}),
    Case("no orientation", beside(put("ImageOrientationPatient", None)), (Stack(4),), {"NO_POSITION": 1}),
    Case("dose pages in a CT series", beside(secondary_capture), (Stack(4),), {"COLOUR": 1}),
    Case("secondary capture in a CT series", beside(grey_capture), (Stack(4),), {"UNSUPPORTED_OBJECT": 1}),
    *(Case(f"{kind} beside images", beside(object_of_class(sop_class)), (Stack(4),),
           {"NOT_AN_IMAGE_OBJECT": 1})
      for kind, sop_class in OBJECTS.items()),
    Case("enhanced multi-frame", enhanced(), ONE),
    Case("enhanced multi-frame: MR, frames out of order",
         lambda f: enhanced(modality="MR", depths=[6, 0, 9, 3])(f)[[1, 3, 0, 2]],
         (Stack(4),)),
    Case("enhanced multi-frame: two echoes",
         enhanced(modality="MR", depths=[0, 3, 6] * 2, volumes={"echo": [5.0] * 3 + [9.0] * 3}),
         (Stack(3), Stack(3))),
    Case("one frame in several fragments; empty offset table: JPEG-LS",
         series(compress=uids.JPEGLSLossless, fragments=4), ONE),
    Case("one frame in several fragments; empty offset table: J2K",
         series(compress=uids.JPEG2000Lossless, shape=(40, 36), fragments=3), ONE),
    *(Case(name, series(bits_stored=12, **knobs), ONE) for name, knobs in LOSSLESS.items()),
    Case("JPEG Extended 12-bit", series(change=jpeg_extended), (), {"TRANSFER_SYNTAX": 5}),
    Case("truncated pixels", without_values(series(), cut),
         (Stack(4, breaks=(2,), export="6.00 mm apart"),), {"TRUNCATED": 1}),
    Case("truncated compressed pixels", without_values(series(compress=uids.RLELossless), cut),
         (Stack(4, breaks=(2,), export="6.00 mm apart"),), {"TRUNCATED": 1}),
    Case("truncated header", without_values(series(), partial(cut, keep=700)),
         (Stack(4, breaks=(2,), export="6.00 mm apart"),), {"TRUNCATED": 1}),
    Case("headless file", headless, ONE),
    Case("MONOCHROME1", series(change=put("PhotometricInterpretation", "MONOCHROME1")), ONE),
    Case("Modality LUT sequence", beside(modality_lut), (Stack(4),), {"MODALITY_LUT": 1}),
    Case("palette colour", beside(palette), (Stack(4),), {"PALETTE": 1}),
    Case("RGB", beside(put("PhotometricInterpretation", "RGB")), (Stack(4),), {"COLOUR": 1}),
    Case("1-bit", beside(both(put("BitsAllocated", 1), put("BitsStored", 1), put("HighBit", 0))),
         (Stack(4),), {"BIT_DEPTH": 1}),
    Case("32-bit", beside(both(put("BitsAllocated", 32), put("BitsStored", 32), put("HighBit", 31))),
         (Stack(4),), {"BIT_DEPTH": 1}),
    Case("float pixels", beside(float_pixels), (Stack(4),), {"FLOAT_PIXELS": 1}),
    Case("signed, BitsStored < BitsAllocated", unused_bits(11), (Stack(3),)),
    Case("signed, HighBit above BitsStored - 1", unused_bits(15), (Stack(3),)),
    Case("unsigned, BitsStored < BitsAllocated", series(signed=False, bits_stored=10), ONE),
    Case("a frame of reference for every slice",
         series(change=put("FrameOfReferenceUID", *(uid("frame", k) for k in range(5)))), ONE,
         note="of its own"),
    Case("one slice", series(slices=1), (Stack(1),)),
    Case("overlay in the bits of the pixels",
         series(bits_stored=12, change=lambda ds, k: ds.add_new(0x60000102, "US", 12)), (),
         {"OVERLAY_IN_PIXELS": 5}),
]  # fmt: skip
