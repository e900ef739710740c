"""DICOM export: a result as a derived series of its source files, written by medidiff. Needs slicer, numpy.

Slicer's own export suits no denoised image: it writes ORIGINAL\\PRIMARY, names no source images and no
derivation. medidiff's writer does, from the headers of the source files. The voxels are those of the node,
bit for bit (``medidiff derive``): denoising the files again would take as long as the first time, and would
give other voxels where the model or the computer has changed since. So that the headers stay true, a volume
whose voxels were changed after the run is not exported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from . import nifti, provenance, volumes
from .job import Job
from .joberror import Discarded

Resolver = Callable[[str], str]
"""SOP instance UID to the path of its file; empty where there is none."""


def database() -> Resolver | None:
    """The resolver of Slicer's DICOM database; None where there is none, as in a script."""
    found = getattr(slicer, "dicomDatabase", None)
    return found.fileForInstance if found is not None else None


def problem(node: Any, resolver: Resolver | None) -> str:
    """Why a volume cannot be exported, one sentence; empty if it can."""
    if node is None:
        return "Denoise a volume first, or choose a denoised one as the output volume."
    if provenance.derivation(node) is None:
        return f"'{node.GetName()}' was not made by MediDiff."
    uids = provenance.sources(node)
    if not uids:
        return f"The input of '{node.GetName()}' did not come from the DICOM database."
    if resolver is None:
        return "There is no DICOM database here."
    gone = sum(not os.path.isfile(resolver(uid) or "") for uid in uids)
    if gone:
        return f"{gone} of the {len(uids)} source files are no longer there."
    return ""


def prepare(node: Any, resolver: Resolver, folder: Path) -> tuple[str, str, str]:
    """Writes what the worker needs into a folder: voxels, list of source files, derivation.

    Raises:
        ValueError: the voxels were changed after the run.
        OSError: they cannot be written.
    """
    if node.GetAttribute(provenance.VOXELS) != provenance.digest(slicer.util.arrayFromVolume(node)):
        raise ValueError(
            f"'{node.GetName()}' was changed after it was denoised, so that its headers would not be true."
        )
    values, listed, made = folder / "in.nrrd", folder / "sources.txt", folder / "derivation.json"
    ijk_to_ras = volumes.matrix(node)
    if np.array_equal(volumes.upright(ijk_to_ras), ijk_to_ras):
        volumes.export(node, values)
    else:  # the worker compares the grid with that of the source files, which is tilted too
        values = folder / "in.nii"
        nifti.write(values, slicer.util.arrayFromVolume(node), ijk_to_ras)
    listed.write_text("\n".join(resolver(uid) for uid in provenance.sources(node)), encoding="utf-8")
    made.write_text(json.dumps(provenance.derivation(node)), encoding="utf-8")
    return str(values), str(listed), str(made)


def take(job: Job, result: dict[str, Any]) -> None:
    """Keeps the paths of what was written."""
    files = result.get("files")
    job.files = [f for f in files if isinstance(f, str)] if isinstance(files, list) else []
    if not job.files:
        raise Discarded("medidiff wrote no file.", "See the log.", "no_result")
