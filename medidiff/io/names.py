"""Text from a file made safe for labels and paths."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from .items import SeriesItem

RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{i}" for p in ("com", "lpt") for i in range(1, 10))}
FORBIDDEN = '<>:"/\\|?*'
MAX_PART = 200
IMAGE_SUFFIX = re.compile(r"\.(nii|hdr|img|nrrd|nhdr|mha|mhd|dcm)(\.gz)?$", re.IGNORECASE)
EXTENSION = {"nifti": ".nii.gz", "nrrd": ".nrrd", "mha": ".mha"}
FILE_FORMATS = {".nii": "nifti", ".nii.gz": "nifti", ".nrrd": "nrrd", ".nhdr": "nrrd", ".mha": "mha"}
"""Extensions of an output that is named as a file. A ``.nhdr`` is written in one piece, which NRRD allows."""


def printable(text: object, limit: int = 64) -> str:
    """One line without control characters; "" for an absent or empty element."""
    if text is None:
        return ""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(line.split())[:limit].rstrip()


def quoted_number(text: object, limit: int = 40) -> str:
    """What stands where a number is expected, for a message: any text but one that may be a name."""
    shown = printable(text, limit)
    return shown if re.fullmatch(r"[\d\s.,;:eE+\\-]*|nan|-?inf", shown) else "no number"


def without_patient(text: str, *identity: object) -> str:
    """The text without the words of a patient's name or identifier, from three letters on (two in CJK)."""
    words = {w for value in identity for w in re.split(r"[\W_]+", str(value or ""))}
    words = {w for w in words if len(w) >= (3 if w.isascii() else 2)}
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", "", text, flags=re.IGNORECASE)
    return " ".join(text.split())


def safe(text: str, limit: int = 48) -> str:
    """A file-name part of letters, digits, dot, dash and underscore; may be empty."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    part = re.sub(r"[^A-Za-z0-9.-]+", "_", ascii_text)
    part = re.sub(r"_{2,}", "_", part)[:limit].strip("._-")
    return f"_{part}" if part.lower().split(".")[0] in RESERVED else part


def safe_path(path: Path) -> Path:
    """A relative path whose parts are names on any system, none of them hidden; "" where there is none."""
    return Path(*(_safe_part(part) for part in path.parts))


def _safe_part(text: str) -> str:
    """A name with what it had, as far as every system allows it, and short enough to add a suffix."""
    part = "".join(c if c.isprintable() and c not in FORBIDDEN else "_" for c in text)
    part = part.encode()[:MAX_PART].decode(errors="ignore").rstrip(" .")
    part = f"_{part[1:]}" if part.startswith(".") else part
    return f"_{part}" if part.split(".")[0].strip().lower() in {"", *RESERVED} else part


def output_name(path: Path, root: Path | None) -> str:
    """The output name of an image file: its stem, below the sub-folders of the input folder `root`."""
    folder = path.parent.relative_to(root) if root else Path()
    return (safe_path(folder) / _safe_part(image_stem(path) or "image")).as_posix()


def series_name(number: int | None, description: str, uid: str) -> str:
    """``<SeriesNumber>_<description>_<last 8 of UID>`` of the source series."""
    tail = re.sub(r"[^0-9A-Za-z]", "", uid)[-8:]
    parts = ("" if number is None else str(number), safe(description), tail)
    name = "_".join(part for part in parts if part)
    return f"series{name}" if name.lower() in {"", *RESERVED} else name


def image_stem(path: Path) -> str:
    """File name without the image extension."""
    return IMAGE_SUFFIX.sub("", path.name)


def keeps_format(item: SeriesItem, file_format: str) -> bool:
    """True where an output in that format is a file of the source's own kind, not an export."""
    if item.kind == "dicom" or file_format == "same":
        return file_format == "same"
    return EXTENSION[file_format] == (".nii.gz" if item.kind == "nifti" else item.headers.extension)


def format_of(path: Path) -> str | None:
    """The format that the name of an output file asks for: ``"nifti"``, ``"nrrd"``, ``"mha"`` or None."""
    return next((v for k, v in FILE_FORMATS.items() if path.name.lower().endswith(k)), None)


def beside_file(file: Path, suffix: str) -> Path:
    """An output beside a main one that the user named: ``OUT.nrrd`` and ``OUT_residual.nrrd``."""
    stem = image_stem(file)
    return file if suffix == "denoised" else file.with_name(f"{stem}_{suffix}{file.name[len(stem) :]}")


def output_path(
    item: SeriesItem, out_dir: Path, suffix: str, file_format: str = "same", file: Path | None = None
) -> Path:
    """Where the output of an item goes: see `medidiff.io.planned_output`."""
    word = safe(suffix) or "denoised"
    if file is not None:
        return beside_file(file, word)
    if file_format != "same" and item.kind == "dicom":
        split = item.part[1] > 1 and not (file_format == "nifti" and item.shared_grid)
        stack = f"_stack-{item.part[0]}" if split else ""
        return out_dir / f"{item.name}{stack}_desc-{word}{EXTENSION[file_format]}"
    if item.kind == "dicom":
        return out_dir / (item.name if word == "denoised" else f"{item.name}_{word}")
    if item.kind == "nifti":
        extension = ".nii.gz" if item.files[0].name.lower().endswith(".gz") else ".nii"
    else:
        extension = item.headers.extension
    return out_dir / f"{item.name}_desc-{word}{extension}"
