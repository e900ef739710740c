"""What discovery finds: items to denoise, and files skipped, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from ..volume import Modality

Kind = Literal["dicom", "nifti", "itk"]


class Reason(Enum):
    """Why a file is not denoised: one value for each cause, with the sentence a user reads."""

    NOT_FOUND = "does not exist"
    UNREADABLE = "cannot be read"
    HIDDEN = "hidden folder, not searched"
    EMPTY = "empty file"
    NOT_AN_IMAGE = "not an image file"
    SIDECAR = "metadata that accompanies an image"
    ARCHIVE = "an archive; unpack it and give the folder instead"
    UNSUPPORTED_FORMAT = "an image format that medidiff does not read"
    DAMAGED_HEADER = "the header cannot be parsed"
    HEADLESS = "DICOM data without file meta information (PS3.10), so its encoding is unknown"
    DICOMDIR = "a DICOM directory, not an image"
    NOT_AN_IMAGE_OBJECT = "a DICOM object that is not an image"
    UNSUPPORTED_OBJECT = "a DICOM image other than CT, MR or PET slices"
    MULTI_FRAME = "a multi-frame DICOM image, which this version does not process"
    MOSAIC = "a mosaic: many slices tiled in one image"
    LOCALIZER = "a localizer (scout), not a slice"
    MISSING_UID = "no SOP Instance or Series Instance UID, so a derived image could not name its source"
    NO_POSITION = "no position or orientation in the patient"
    NO_SPACING = "no usable pixel spacing or matrix size"
    DUPLICATE = "the same image as another file"
    NO_PIXELS = "no pixel data"
    TRUNCATED = "pixel data ends early"
    TRANSFER_SYNTAX = "a transfer syntax that cannot be decoded safely"
    COLOUR = "a colour image"
    PALETTE = "a palette-colour image"
    FLOAT_PIXELS = "floating-point pixel data"
    BIT_DEPTH = "a pixel depth other than 8 or 16 bit"
    OVERLAY_IN_PIXELS = "an overlay stored in the bits of the pixels, which new pixels would destroy"
    MODALITY_LUT = "a Modality LUT instead of rescale slope and intercept"
    RESCALE = "no usable rescale slope and intercept, so its values have no known unit"
    COMPLEX_PIXELS = "complex-valued pixels"
    LABEL_MAP = "a label map or mask, not an image"
    UNSUPPORTED_LAYOUT = "not a 2-D, 3-D or 4-D scalar image"
    SHEARED = "a sheared grid, which this format cannot keep"


@dataclass(frozen=True)
class Skipped:
    """A file that is not denoised.

    Attributes:
        path: the file (or folder) concerned.
        reason: the cause.
        detail: what exactly was found; no patient text.
    """

    path: Path
    reason: Reason
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The reason for people, with its detail."""
        return f"{self.reason.value} ({self.detail})" if self.detail else self.reason.value


@dataclass(frozen=True, eq=False)
class SeriesItem:
    """One thing to denoise: a stack of slices that shares one grid, or one image file.

    Attributes:
        path: the file, or the innermost folder that holds all files of a DICOM stack.
        kind: ``"dicom"``, ``"nifti"`` or ``"itk"`` (NRRD, MetaImage).
        files: the files in slice order.
        modality: ``"CT"``, ``"MR"``, ``"PT"`` or ``"OT"`` where the file does not tell.
        description: printable text without patient names.
        name: relative, safe path of the output without suffix and extension; unique within a discovery.
        shape: ``(z, y, x)``; a 4-D file has its volumes one after the other along z.
        spacing: mm along ``(z, y, x)``.
        volumes: number of 3-D volumes in the file.
        series_uid: DICOM Series Instance UID of the source.
        number: DICOM Series Number.
        regular: True where the slices make one regular grid (export to NIfTI, NRRD, MHA is possible).
        tilt: angle in degrees between the slice normal and the direction of stacking.
        notes: what a user should know (gaps, duplicated positions, missing frame of reference).
        own_output: True where medidiff wrote this image.
        inputs: every input file of the discovery, so that no output can hit one.
        headers: what the reader and writer of this kind need; opaque to everything else.
    """

    path: Path
    kind: Kind
    files: tuple[Path, ...]
    modality: Modality
    description: str
    name: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    volumes: int = 1
    series_uid: str | None = None
    number: int | None = None
    regular: bool = True
    tilt: float = 0.0
    notes: tuple[str, ...] = ()
    own_output: bool = False
    inputs: frozenset[Path] = frozenset()
    headers: Any = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """Short printable name without patient text."""
        z, y, x = self.shape
        size = f"{x}x{y}x{z}" if self.volumes == 1 else f"{x}x{y}x{z // self.volumes}x{self.volumes}"
        if self.kind != "dicom":
            return f"{self.path.name} ({size})"
        number = "" if self.number is None else f" {self.number}"
        text = f" '{self.description}'" if self.description else ""
        return f"{self.modality} series{number}{text} ({size})"


@dataclass(frozen=True, eq=False)
class Discovery:
    """All that lies under the given paths; every file is in exactly one item or one skip."""

    items: tuple[SeriesItem, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Written:
    """What a writer left behind.

    Attributes:
        path: the output folder (DICOM) or image file.
        files: every file written.
        clipped: pixels whose value did not fit the stored type and was moved to its limit.
        notes: what a user should know about the output.
    """

    path: Path
    files: tuple[Path, ...]
    clipped: int = 0
    notes: tuple[str, ...] = ()

    def __fspath__(self) -> str:
        return str(self.path)
