"""What discovery finds: items to denoise, and files skipped, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from ..errors import readable
from ..volume import Modality

Kind = Literal["dicom", "nifti", "itk"]
FileFormat = Literal["same", "nifti", "nrrd", "mha"]


class Reason(Enum):
    """Why a file or series is not denoised: one value for each cause, with the sentence a user reads.

    The names are those of `inspect --json` and of report.json.
    """

    NOT_FOUND = "does not exist"
    UNREADABLE = "cannot be read"
    HIDDEN = "hidden folder, not searched"
    EMPTY = "empty file"
    NOT_AN_IMAGE = "not an image file"
    SIDECAR = "metadata that accompanies an image"
    ARCHIVE = "an archive other than zip; unpack it and give the folder instead"
    NESTED_ARCHIVE = "an archive inside another; unpack it and give the folder instead"
    ENCRYPTED_ZIP = "an encrypted zip file; unpack it and give the folder instead"
    ZIP_METHOD = "a zip file packed otherwise than by deflate; unpack it and give the folder instead"
    DAMAGED_ZIP = "a damaged zip file"
    UNSAFE_ZIP = "a zip file whose names lead out of it"
    DAMAGED_GZIP = "a damaged gzip file"
    PACKING_BOMB = "packed data that unpacks to far more than a scan would"
    ANALYZE = "Analyze 7.5, which does not tell how the patient lies"
    NO_VOXEL_FILE = "a header without its file of voxels"
    VOXELS_ELSEWHERE = "a header whose voxels lie outside its folder"
    PACKED_HEADER = "a detached header that is packed; unpack it and its voxels first"
    DAMAGED_HEADER = "the header cannot be parsed"
    HEADLESS = "DICOM data without file meta information (PS3.10), so its encoding is unknown"
    DICOMDIR = "a DICOM directory, not an image"
    DICOMDIR_MISSING = "named by a DICOMDIR, but not there"
    DICOMDIR_UNSAFE = "a DICOMDIR with names that lead out of its folder"
    NOT_AN_IMAGE_OBJECT = "a DICOM object that is not an image"
    UNSUPPORTED_OBJECT = "a DICOM image other than CT, MR or PET slices"
    MULTI_FRAME = "a multi-frame DICOM image of a kind that medidiff does not process"
    FRAMES = "functional groups that do not describe its frames"
    MOSAIC = "a mosaic: many slices tiled in one image"
    LOCALIZER = "a localizer (scout), not a slice"
    MISSING_UID = "no SOP Instance or Series Instance UID, so a derived image could not name its source"
    NO_POSITION = "no position or orientation in the patient"
    NO_SPACING = "no usable pixel spacing or matrix size"
    DUPLICATE = "the same image as another file"
    UID_REUSED = "another image under the SOP Instance UID of one that is used"
    NO_PIXELS = "no pixel data"
    TRUNCATED = "the file ends early"
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
    UNSUPPORTED_LAYOUT = "not a scalar image made of slices"
    SHEARED = "a sheared grid, which this format cannot keep"
    # A whole series, for which the message of the error says more
    EARLIER_OUTPUT = "medidiff made this image in an earlier run"
    DONE = "its output is there already"
    NO_MODEL = "there is no model for its modality"
    OTHER_MODALITY = "of another modality than the model"
    UNKNOWN_MODALITY = "neither the file nor its values tell whether it is CT or MR"
    NOISE_LEVEL = "its noise level cannot be estimated"
    PIXELS = "its pixel data cannot be read"
    NOT_REGULAR = "its slices do not make the regular grid that was asked for"
    NOT_DICOM = "not a DICOM series, and only those are exported to another format"
    REFUSED = "it must not be processed"
    NO_IMAGE = "no image"
    OUTPUT_EXISTS = "its output exists"
    OTHER_SOURCE = "its output belongs to another scan"
    OUTPUT = "its output cannot be written"
    MODEL = "its model is unknown or damaged"
    ENGINE = "no inference engine"
    USAGE = "the options do not fit it"
    OUT_OF_MEMORY = "out of memory"
    CANCELLED = "the run was cancelled"
    UNEXPECTED = "an unexpected error"


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
        files: the files in slice order, each once; a multi-frame file holds many slices, and may be part of
            several items.
        modality: ``"CT"``, ``"MR"``, ``"PT"`` or ``"OT"`` where the file does not tell.
        description: printable text without patient names.
        name: relative, safe path of the output without suffix and extension; unique within a discovery, and
            shared by the stacks of one DICOM series, which come back as one series.
        shape: ``(z, y, x)``; a file of more dimensions has its volumes one after the other along z.
        spacing: mm along ``(z, y, x)``.
        volumes: number of 3-D volumes in the file.
        series_uid: DICOM Series Instance UID of the source.
        number: DICOM Series Number.
        part: which stack of its series this is, from 1, and how many there are.
        shared_grid: True where all stacks of the series lie on one grid: volumes of a 4-D scan.
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
    part: tuple[int, int] = (1, 1)
    shared_grid: bool = False
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
            return f"{readable(self.path.name)} ({size})"
        number = "" if self.number is None else f" {self.number}"
        text = f" '{self.description}'" if self.description else ""
        stack = f" stack {self.part[0]} of {self.part[1]}" if self.part[1] > 1 else ""
        return f"{self.modality} series{number}{text}{stack} ({size})"


@dataclass(frozen=True, eq=False)
class Discovery:
    """All that lies under the given paths; every file is in an item or in exactly one skip.

    A multi-frame file whose frames make several stacks is in several items.
    """

    items: tuple[SeriesItem, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class WriteOptions:
    """How an output is written.

    Attributes:
        suffix: what it is: ``"denoised"``, ``"residual"``, ``"uncertainty"`` or the word of a simulation.
        format: ``"same"`` as the source, or the file format to export to.
        overwrite: replaces an earlier output; an input is never replaced.
        keep_private: copies private DICOM elements.
        series_description: text in place of the source's Series Description; the notice still follows it.
        file: the main output itself, where the user named a file; other outputs lie beside it.
    """

    suffix: str = "denoised"
    format: FileFormat = "same"
    overwrite: bool = False
    keep_private: bool = False
    series_description: str | None = None
    file: Path | None = None


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
