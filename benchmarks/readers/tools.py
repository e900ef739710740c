"""Runs one reader on one folder, in a process of its own, and leaves what it read.

    python tools.py TOOL FOLDER OUT

writes OUT/answer.json: the volumes (arrays in .npy files, indexed x, y, z, with LPS affines), what was
skipped, what was said, or why it failed. Needs nothing but the tool, so that it can run in an environment
without medidiff.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # last: a tool finds its own modules first
from readers.readback import Volume, nifti_volumes, planes_of


def medidiff(folder: Path, out: Path, answer: dict[str, Any]) -> Iterator[Volume]:
    """Discovery, reading, identity; the derived series is read back by pydicom alone."""
    import pydicom

    for stack in _identity(folder, out, answer, "same"):
        planes = [plane for path in stack for plane in planes_of(pydicom.dcmread(path))]
        yield np.stack([p[0].T for p in planes], axis=2), [p[1] for p in planes], ""


def medidiff_export(folder: Path, out: Path, answer: dict[str, Any]) -> Iterator[Volume]:
    """Discovery, reading, identity, export to NIfTI."""
    done: set[Path] = set()
    for files in _identity(folder, out, answer, "nifti"):
        if files[0] not in done:  # volumes of one 4-D file
            yield from nifti_volumes(files[0])
        done.add(files[0])


def _identity(
    folder: Path, out: Path, answer: dict[str, Any], file_format: Any
) -> Iterator[tuple[Path, ...]]:
    """Reads every series and writes it unchanged; gives the files of each stack."""
    from medidiff import io as mio

    found = mio.discover([folder])
    answer["skipped"] = [s.reason.name for s in found.skipped]
    answer["said"] = [note for item in found.items for note in item.notes]
    answer["said"] += [f"{item.part[1]} stacks" for item in found.items if item.part[1] > 1]
    answer["failed"] = "; ".join(sorted({s.reason.value for s in found.skipped})) if not found.items else ""
    derivation = mio.Derivation("identity", strength=0.0)
    for series in mio.by_series(found.items):
        with mio.open_output(series[0], out, mio.WriteOptions(format=file_format)) as output:
            written = [output.add(mio.read(item), derivation) for item in series]
        yield from (w.files for w in written)


def simpleitk(folder: Path, out: Path, answer: dict[str, Any]) -> Iterator[Volume]:
    """ImageSeriesReader on every series that GDCM finds in the folder."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    series = reader.GetGDCMSeriesIDs(str(folder))
    answer["failed"] = "" if series else "finds no series"
    for uid in series:
        names = reader.GetGDCMSeriesFileNames(str(folder), uid)
        reader.SetFileNames(names)
        image = reader.Execute() if len(names) > 1 else sitk.ReadImage(names[0])
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        values = sitk.GetArrayFromImage(image)
        yield np.moveaxis(values, (0, 1, 2), (2, 1, 0)), [affine], ""


def dcm2niix(folder: Path, out: Path, answer: dict[str, Any]) -> Iterator[Volume]:
    """``dcm2niix -b n -z n``: every file that it writes."""
    beside = Path(sys.executable).with_name("dcm2niix")
    program = str(beside) if beside.exists() else shutil.which("dcm2niix")
    if program is None:
        raise ModuleNotFoundError("dcm2niix is not installed")
    done = subprocess.run(
        [program, "-b", "n", "-z", "n", "-f", "o", "-o", str(out), str(folder)],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    lines = (done.stdout + done.stderr).splitlines()
    answer["said"] = [line for line in lines if line.startswith(("Warning", "Error"))]
    written = sorted(out.glob("*.nii"))
    if not written:
        errors = [line for line in lines if line.startswith("Error")] or answer["said"] or lines[-1:]
        answer["failed"] = errors[0] if done.returncode >= 0 else f"killed by signal {-done.returncode}"
        answer["error"] = "" if done.returncode >= 0 else "crash"
    for path in written:
        yield from nifti_volumes(path)


def dicom2nifti(folder: Path, out: Path, answer: dict[str, Any]) -> Iterator[Volume]:
    """``convert_directory``, which prints its exceptions and goes on."""
    from dicom2nifti import convert_directory

    printed = io.StringIO()
    log = logging.StreamHandler(printed)
    logging.getLogger("dicom2nifti").addHandler(log)
    with contextlib.redirect_stderr(printed):
        convert_directory(str(folder), str(out), compression=False, reorient=False)
    lines = [line.strip() for line in printed.getvalue().splitlines()]
    errors = [x for x in lines if x and not x.startswith(("File ", "Traceback", "^"))]
    answer["said"] = [x for x in errors if "Error" in x or "ConversionValidationError" in x]
    written = sorted(out.glob("*.nii"))
    if not written:
        answer["failed"] = answer["said"][-1] if answer["said"] else "finds no series"
        answer["error"] = answer["failed"].split(":")[0]
    for path in written:
        yield from nifti_volumes(path)


def highdicom(folder: Path, out: Path, answer: dict[str, Any]) -> Iterator[Volume]:
    """``get_volume_from_series`` for every series of files that pydicom can read; ``Image.get_volume``."""
    import highdicom as hd
    import pydicom

    series, enhanced = defaultdict(list), False
    for path in sorted(folder.iterdir()):
        try:
            ds = pydicom.dcmread(path)
        except Exception as error:
            answer["said"].append(f"{path.name}: {error}")
            continue
        if "NumberOfFrames" in ds:
            enhanced = True
            yield _hd(hd.imread(path).get_volume())
        elif "Rows" in ds:
            series[str(ds.SeriesInstanceUID)].append(ds)
    answer["failed"] = "" if series or enhanced else "finds no series"
    for datasets in series.values():
        yield _hd(hd.get_volume_from_series(datasets))


def _hd(volume: Any) -> Volume:
    """highdicom's axes are slice, row, column."""
    affine = np.asarray(volume.affine)[:, [2, 1, 0, 3]]
    return np.moveaxis(np.asarray(volume.array), (0, 1, 2), (2, 1, 0)), [affine], ""


TOOLS: dict[str, Callable[[Path, Path, dict[str, Any]], Iterator[Volume]]] = {
    "medidiff": medidiff,
    "medidiff -f nifti": medidiff_export,
    "SimpleITK": simpleitk,
    "dcm2niix": dcm2niix,
    "dicom2nifti": dicom2nifti,
    "highdicom": highdicom,
}


def version(tool: str) -> str:
    """The version of a tool.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    name = tool.split()[0]
    if name == "dcm2niix":
        beside = Path(sys.executable).with_name(name)
        program = str(beside) if beside.exists() else name
        try:
            text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        except FileNotFoundError as error:
            raise ModuleNotFoundError(name) from error
        return text.split()[-1].lstrip("v")
    try:
        return installed(name)
    except PackageNotFoundError as error:
        raise ModuleNotFoundError(name) from error


def main() -> None:
    """Runs the tool named on the command line; ``--version`` prints its version."""
    tool, *rest = sys.argv[1:]
    if rest == ["--version"]:
        print(version(tool))
        return
    folder, out = (Path(p) for p in rest)
    warnings.filterwarnings("ignore", module=r"pydicom.*")
    answer: dict[str, Any] = {"volumes": [], "skipped": [], "said": [], "failed": "", "error": ""}
    try:
        for k, (values, affines, label) in enumerate(TOOLS[tool](folder, out, answer)):
            np.save(out / f"{k}.npy", np.asarray(values))
            answer["volumes"].append({"affines": np.asarray(affines).tolist(), "label": label})
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        answer["failed"] = next((line for line in lines[::-1] if "ERROR" in line), lines[-1])
        answer["error"] = type(error).__name__
    (out / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
