"""Request: what the user asks of a run."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from medidiff.denoise import Settings
from medidiff.errors import OutputError, UsageError
from medidiff.io import FileFormat, WriteOptions
from medidiff.io.atomic import reported

Bounds = tuple[int, int, int, int, int, int]

IMAGE_NAME = re.compile(r"\.(nii|nii\.gz|nrrd|nhdr|mha|mhd|dcm)$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Request:
    """What the user asks of a run.

    Attributes:
        paths: files and folders to search.
        out_dir: folder of the outputs.
        model: name or folder of a bundle; None takes the shipped one of each series' modality.
        modality: ``"auto"``, or ``"ct"`` or ``"mr"`` for what every series is to be taken as.
        settings: mode, strength, noise level, seed, uncertainty.
        sigma_map: an image with the noise SD of every voxel, on the grid of the scan.
        save_residual: also write input minus output.
        overwrite: replace earlier outputs.
        resume: leave out series whose outputs are all there; outputs are whole or absent.
        keep_private: copy private DICOM elements.
        format: that of the outputs; ``"same"`` as the source.
        series_description: in place of the source's.
        synthetic_data: mark outputs as SyntheticData YES.
        page: measure every series and write report.csv and report.html too.
        slices: slices that the page shows besides the best, median and worst, counted from 1.
        identify: the report names patients, institutions and paths.
        file: the output itself, for a single scan; other outputs lie beside it, and there is no report.
        roi: voxel bounds ``i0, i1, j0, j1, k0, k1`` along the axes of the file (DICOM: column, row, slice),
            half open: the rest is copied. None for all of it.
    """

    paths: tuple[Path, ...]
    out_dir: Path
    model: str | None = None
    modality: str = "auto"
    settings: Settings = field(default_factory=Settings)
    sigma_map: Path | None = None
    save_residual: bool = False
    overwrite: bool = False
    resume: bool = False
    keep_private: bool = False
    format: FileFormat = "same"
    series_description: str | None = None
    synthetic_data: bool = False
    page: bool = False
    slices: tuple[int, ...] = ()
    identify: bool = False
    file: Path | None = None
    roi: Bounds | None = None

    def __post_init__(self) -> None:
        if self.file is not None and len(self.paths) != 1:
            raise UsageError(
                "The output (-o) names a file, which takes one scan", received=f"{len(self.paths)} paths",
                hint="Name a folder.",
            )  # fmt: skip
        if self.file is not None and self.page:
            raise UsageError(
                "A report needs a folder for its files", received=f"--report with -o {self.file.name}",
                hint="Name a folder as the output (-o).",
            )  # fmt: skip
        if self.roi is not None and self.page:
            raise UsageError("A report measures whole scans", hint="Use --report or --roi, not both.")

    @property
    def copies(self) -> bool:
        """True where every output is the scan itself: strength 0. Then no model is needed."""
        return self.settings.strength == 0.0 and not self.settings.uncertainty

    def options(self, suffix: str) -> WriteOptions:
        """How an output is written."""
        return WriteOptions(
            suffix, self.format, self.overwrite, self.keep_private, self.series_description, self.file
        )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The outputs of one series, the main one last: where it is, the others are complete."""
        extra = ["residual"] if self.save_residual else []
        extra += ["uncertainty"] if self.settings.uncertainty else []
        return (*extra, "denoised")


def check_folder(out_dir: Path, *, files: bool = False) -> None:
    """Makes sure that outputs can be written below a folder, which need not exist yet.

    Args:
        out_dir: the folder.
        files: a single output may also be named itself, which is said where a name is no folder's.

    Raises:
        UsageError: the name is that of an image file.
        OutputError: a file is in the way, or the folder is read-only.
    """
    if IMAGE_NAME.search(out_dir.name) and not out_dir.is_dir():
        more = ", or for one scan a .nrrd, .nhdr, .mha, .nii or .nii.gz file" if files else ""
        raise UsageError(f"The output (-o) is a folder{more}", received=out_dir)
    with reported(out_dir):
        nearest = out_dir
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        if not nearest.is_dir():
            raise OutputError("a file is where the output folder should be", where=nearest)
        with tempfile.TemporaryDirectory(prefix=".medidiff-", dir=nearest):
            pass
