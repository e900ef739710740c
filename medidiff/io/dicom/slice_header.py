"""`SliceHeader`: what is kept of one slice or frame, and how its values are parsed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...volume import Modality
from ..items import Reason
from ..names import printable, quoted_number, without_patient
from .remarks import HOUNSFIELD, remarks, rescale_type

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SPLIT = ("EchoTime", "DiffusionBValue", "TemporalPositionIdentifier")
"""A stack has one of each."""


@dataclass(frozen=True)
class SliceHeader:
    """What geometry, grouping and naming need of one slice; UIDs as text, positions in mm (LPS).

    Attributes:
        path: file.
        frame_number: which frame of a multi-frame image, from 1; 0 for an image of one slice.
        modality: ``"CT"``, ``"MR"`` or ``"PT"``.
        sop_class: SOP Class UID.
        uid: SOP Instance UID; with `frame_number`, it identifies the slice.
        series: Series Instance UID.
        study: Study Instance UID, "" where absent.
        frame: Frame of Reference UID, "" where absent.
        rows: matrix height.
        columns: matrix width.
        spacing: Pixel Spacing: between rows, between columns.
        position: Image Position (Patient), centre of the first pixel.
        orientation: Image Orientation (Patient): row cosines, column cosines.
        kind: Image Type (Frame Type) from value 3 on, and the unit of CT that is not in HU.
        split: echo time, b-value and temporal position, as `SPLIT` names them: a stack has one of each.
        order: acquisition number, times, flip angle, kernel ...: may tell apart slices at one position.
        volume: acquisition number (none for MR, where an acquisition may be every other slice of a volume)
            and Stack ID: slices of two that lie in between each other are two volumes.
        number: Series Number.
        description: Series Description, without patient name.
        own: True where medidiff wrote the file.
        transfer_syntax: UID.
        left_out: frames of the same file that are not used, and why; "" where all are.
        patient: Patient ID, or name where there is none: it keeps series apart, and is never shown.
        remarks: what a user should know of the values; no free text of the file.
        thickness: Slice Thickness in mm, None where it is absent or no length.
        spaced: Spacing Between Slices in mm, likewise: what the scanner says of one volume.
        instance: Instance Number of an image of one slice, the frame number of others; None where unreadable.
    """

    path: Path
    frame_number: int
    modality: Modality
    sop_class: str
    uid: str
    series: str
    study: str
    frame: str
    rows: int
    columns: int
    spacing: tuple[float, float]
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    kind: tuple[str, ...]
    split: tuple[str, ...]
    order: tuple[str, ...]
    number: int | None
    description: str
    own: bool
    transfer_syntax: str
    left_out: str = ""
    volume: tuple[str, ...] = ()
    patient: str = field(default="", repr=False)
    remarks: tuple[str, ...] = ()
    instance: int | None = None
    thickness: float | None = None
    spaced: float | None = None

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector along row cosines x column cosines."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(normal / np.linalg.norm(normal))

    @property
    def depth(self) -> float:
        """Position along the slice normal in mm."""
        return float(self.normal @ np.asarray(self.position))


@dataclass(frozen=True)
class Place:
    """The data sets that hold the geometry of a slice: an image itself, or functional groups of a frame.

    Attributes:
        measures: holds Pixel Spacing and Slice Thickness.
        position: holds Image Position (Patient).
        orientation: holds Image Orientation (Patient).
    """

    measures: Dataset
    position: Dataset
    orientation: Dataset

    def cosines(self) -> tuple[float, float, float, float, float, float]:
        """Image Orientation (Patient) as two unit vectors: files have it rounded, to two digits at worst."""
        found = np.array(numbers(self.orientation, "ImageOrientationPatient", 6)).reshape(2, 3)
        rx, ry, rz, cx, cy, cz = (found / np.linalg.norm(found, axis=1, keepdims=True)).ravel().tolist()
        return rx, ry, rz, cx, cy, cz

    def length(self, keyword: str) -> float | None:
        """Slice Thickness or Spacing Between Slices in mm, None where it is absent or no length."""
        with suppress(Exception):  # pydicom raises almost anything; what is only copied must not stop reading
            found = numbers(self.measures, keyword, 1)
            return found[0] if found and found[0] > 0 else None
        return None

    def problem(self) -> tuple[Reason, str] | None:
        """Why a slice has no place in the patient (C.7.6.2), None if it has one."""
        spacing = numbers(self.measures, "PixelSpacing", 2)
        if spacing is None or min(spacing) <= 0:
            return Reason.NO_SPACING, f"Pixel Spacing (0028,0030) {_received(self.measures, 'PixelSpacing')}"
        if numbers(self.position, "ImagePositionPatient", 3) is None:
            received = _received(self.position, "ImagePositionPatient")
            return Reason.NO_POSITION, f"Image Position (0020,0032) {received}"
        cosines = numbers(self.orientation, "ImageOrientationPatient", 6)
        if cosines is None:
            received = _received(self.orientation, "ImageOrientationPatient")
            return Reason.NO_POSITION, f"Image Orientation (0020,0037) {received}"
        row, column = np.array(cosines[:3]), np.array(cosines[3:])
        if max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) > 1e-2:
            return Reason.NO_POSITION, "Image Orientation (0020,0037) is not a pair of unit vectors"
        return None


def _received(dataset: Dataset, keyword: str) -> str:
    """The value of an element for a message."""
    return quoted_number("\\".join(values(dataset, keyword)), 80) or "is missing or empty"


@contextmanager
def lenient() -> Iterator[None]:
    """Reads and copies odd values as they are: no value checks, and no warnings, which could quote names."""
    import pydicom.config

    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def text(dataset: Dataset, keyword: str) -> str:
    """An element as text, "" where absent or empty."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def values(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an element as text, unpadded; also of one with a single value or none (PS3.5 6.4)."""
    value = dataset.get(keyword)
    if value in (None, ""):
        return []
    several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return [str(v).strip() for v in value] if several else [str(value).strip()]


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """The values of a DS element as floats, None where absent, empty, unreadable or not finite."""
    values = dataset.get(keyword)
    try:
        found = tuple(float(v) for v in ([values] if count == 1 else values))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def rounded(value: object) -> str:
    """A number as text to four significant decimals, so that 2.46 and 2.460 are one echo."""
    try:
        return f"{float(str(value)):.4g}"
    except ValueError:
        return ""


def integer(value: object) -> int | None:
    """A number as an integer, None where it is none."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return None


def record(
    dataset: Dataset, path: Path, place: Place, scale: Dataset, *, modality: Modality, kind: Sequence[str],
    split: Sequence[str], order: Sequence[str], volume: Sequence[str], frame_number: int = 0,
    left_out: str = "",
) -> SliceHeader:  # fmt: skip
    """The record of a slice whose place has no `problem`; the arguments are those of `SliceHeader`.

    Args:
        dataset: the header of the image, for what holds for all its frames.
        path: its file.
        place: where the slice lies.
        scale: holds its Rescale Type: the image itself, or a functional group of a frame.
        modality: see `SliceHeader`, as for the rest.
        kind: values 3 and up of its type.
        split: what a stack has one of.
        order: what may tell apart two slices at one position.
        volume: what tells apart volumes that lie in between each other.
        frame_number: 0 for an image of one slice.
        left_out: about other frames.
    """
    description, unit = printable(dataset.get("SeriesDescription")), rescale_type(scale)
    return SliceHeader(
        path=path,
        frame_number=frame_number,
        modality=modality,
        sop_class=text(dataset, "SOPClassUID"),
        uid=text(dataset, "SOPInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        frame=text(dataset, "FrameOfReferenceUID"),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        # `Place.problem` has told that both are there.
        spacing=numbers(place.measures, "PixelSpacing", 2),  # type: ignore[arg-type]
        position=numbers(place.position, "ImagePositionPatient", 3),  # type: ignore[arg-type]
        orientation=place.cosines(),
        kind=(*kind, *([unit] if modality == "CT" and unit not in HOUNSFIELD else [])),
        split=tuple(split),
        order=tuple(order),
        number=integer(dataset.get("SeriesNumber")),
        description=without_patient(description, dataset.get("PatientName"), dataset.get("PatientID")),
        own=text(dataset, "Manufacturer").lower() == "medidiff",
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        left_out=left_out,
        volume=tuple(volume),
        patient=text(dataset, "PatientID") or text(dataset, "PatientName"),
        remarks=remarks(dataset, scale, modality, kind),
        thickness=place.length("SliceThickness"),
        spaced=place.length("SpacingBetweenSlices"),
        instance=frame_number or integer(dataset.get("InstanceNumber")),
    )
