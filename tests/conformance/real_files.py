"""What medidiff makes of every real file at hand: `real_files.tsv` holds it, so that a change is seen.

``python tests/conformance/real_files.py`` prints the table anew. A line has a folder of files, a file or a
pattern below it, how many files it stands for, and what they are: an item, or a skip with its reason.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from pydicom.data import get_testdata_file

from medidiff.io import SeriesItem, discover

TABLE = Path(__file__).with_suffix(".tsv")


def pydicom_files() -> Path:
    """The test files that come with pydicom."""
    return Path(str(get_testdata_file("CT_small.dcm"))).parent


def shared_files() -> Path:
    """The folder of real DICOM and NIfTI files, outside the repository."""
    default = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    return Path(os.environ.get("MEDIDIFF_DATA", default)).resolve() / "io"


def outcomes(root: Path) -> dict[str, str]:
    """Every file below a folder, by its relative path, and what came of it."""
    found = discover([root])
    lines: dict[str, list[str]] = defaultdict(list)
    for item in found.items:
        for path in item.files:
            lines[path.relative_to(root).as_posix()].append(_words(item))
    for skip in found.skipped:
        lines[skip.path.relative_to(root).as_posix()].append(f"skipped: {skip.reason.name}")
    return {name: "; ".join(sorted(words)) for name, words in sorted(lines.items())}


def _words(item: SeriesItem) -> str:
    size = "x".join(map(str, reversed(item.shape)))
    kind = {"dicom": "DICOM", "nifti": "NIfTI", "itk": "ITK"}[item.kind]
    extra = "" if item.regular else ", not regular"
    return f"{kind} {item.modality} {size}{extra}"


def table(name: str, root: Path) -> list[str]:
    """Lines of the table for the files below a folder; the images of a series are one line."""
    found = outcomes(root)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, words in found.items():
        groups[str(Path(path).parent), words].append(path)
    lines = []
    for (folder, words), paths in groups.items():
        whole = len(paths) > 3 and all(found[p] == words for p in found if str(Path(p).parent) == folder)
        for path in [f"{folder}/*"] if whole else paths:
            lines.append(f"{name}\t{path}\t{len(paths) if whole else 1}\t{words}")
    return sorted(lines)


def main() -> None:
    """Prints the table."""
    sys.stdout.write("root\tfiles\tcount\twhat they are\n")
    for line in table("pydicom", pydicom_files()) + table("shared", shared_files()):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
