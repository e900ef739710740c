"""Results: what the worker made becomes nodes of the scene, all or none. Needs slicer and numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from . import provenance, volumes
from .command import PRESETS, Bounds, Settings
from .job import Job
from .joberror import Discarded

SAMPLE = 2_000_000
"""Voxels of which a percentile is taken: those of a whole body would hold the window up for seconds."""

SHARE = 99.5
"""Percentile of the magnitudes that the window of a difference reaches to."""

DIFFERENCE, UNCERTAINTY = "medidiff.difference", "medidiff.uncertainty"
"""Roles of the references from an output to the volumes that came with it."""


@dataclass(frozen=True, eq=False)
class Request:
    """What was asked for, with all that must be known when the worker is done.

    The parameter node and the selection may have changed by then, so that nodes are known by ID; the objects
    are kept beside them, because a new scene gives the same IDs to other nodes.

    Attributes:
        scene: holds the nodes.
        source: the input.
        source_id: its ID.
        target: the volume to overwrite, None for a new one.
        target_id: its ID, empty for a new one.
        name: of a new one.
        settings: how.
        bounds: the voxels that are denoised, None for all.
        difference: make the difference too.
        shape: of the input ``[k, j, i]``.
        ijk_to_ras: of the file that the worker got.
        stamp: tells whether the input's voxels were changed meanwhile.
    """

    scene: Any
    source: Any
    source_id: str
    target: Any
    target_id: str
    name: str
    settings: Settings
    bounds: Bounds | None
    difference: bool
    shape: tuple[int, ...]
    ijk_to_ras: np.ndarray
    stamp: int


def take(request: Request, job: Job, result: dict[str, Any]) -> None:
    """Makes the nodes of a result.

    Raises:
        Discarded: input or output are gone, or the result does not lie on the input.
    """
    source = _alive(request, request.source, request.source_id, "input")
    image = source.GetImageData()
    if image is None or image.GetDimensions()[::-1] != request.shape:
        text = "The input volume was given another size during the run, so the result was discarded."
        raise Discarded(text, "", "input_changed")
    target = _alive(request, request.target, request.target_id, "output") if request.target_id else None
    outputs = result.get("outputs")
    paths = outputs if isinstance(outputs, dict) else {"denoised": result.get("path")}
    voxels = {name: _voxels(request, paths[name]) for name in ("denoised", "uncertainty") if paths.get(name)}
    if "denoised" not in voxels:
        raise Discarded("medidiff told no output.", "See the log.", "no_result")
    before = slicer.util.arrayFromVolume(source)
    if image.GetMTime() != request.stamp:
        before = _voxels(request, job.folder / "in.nrrd")
        job.warnings.append(
            ("input_changed", "The input was changed during the run; the result is of before.")
        )
    difference = _difference(before, voxels["denoised"]) if request.difference else None
    made: list[Any] = []

    def new(name: str) -> Any:
        made.append(volumes.new_like(source, name))
        return made[-1]

    def beside(role: str, word: str) -> Any:
        """The volume that goes with the output: that of the last run into it, else a new one."""
        last = target.GetNodeReference(role) if target is not None else None
        return new(f"{source.GetName()} {word}") if last is None or last is source else last

    facts = _facts(request, job, result)
    removed = sd = None
    try:
        output = target or new(request.name)
        if difference is not None:
            removed = beside(DIFFERENCE, "removed")
        if "uncertainty" in voxels:
            sd = beside(UNCERTAINTY, "uncertainty")
        for node in (output, removed, sd):
            if node is not None and node not in made:
                volumes.overwrite_geometry(node, source)
        if removed is not None:
            reach = _reach(difference[difference != 0])
            volumes.set_voxels(removed, difference)
            volumes.set_window(removed, -reach, reach)
            provenance.mark(removed, source, {**facts, "derivation": "", "content": "input minus output"})
        if sd is not None:
            volumes.set_voxels(sd, voxels["uncertainty"].astype(np.float32))
            volumes.set_window(sd, 0.0, _reach(voxels["uncertainty"]))
            provenance.mark(sd, source, {**facts, "derivation": "", "content": "SD of each voxel"})
        volumes.set_voxels(output, voxels["denoised"])
        volumes.same_window(output, source)
        provenance.mark(output, source, {**facts, "voxels": provenance.digest(voxels["denoised"])})
        for role, node in ((DIFFERENCE, removed), (UNCERTAINTY, sd)):
            if node is not None or output is not target:  # a clone has those of the input
                output.SetNodeReferenceID(role, node.GetID() if node is not None else None)
    except BaseException:
        for node in reversed(made):
            volumes.remove(node)
        raise
    job.outputNodeID = output.GetID()
    job.differenceNodeID = removed.GetID() if removed is not None else ""
    job.uncertaintyNodeID = sd.GetID() if sd is not None else ""


def _alive(request: Request, node: Any, node_id: str, word: str) -> Any:
    """The node, if it is still in the scene."""
    if request.scene.GetNodeByID(node_id) is not node:
        raise Discarded(
            f"The {word} volume was removed during the run, so the result was discarded.", "", f"{word}_gone"
        )
    return node


def _voxels(request: Request, path: Any) -> np.ndarray:
    """The voxels of a file of the worker, if they lie on the input."""
    try:
        node = volumes.load(Path(str(path)))
        volumes.check_geometry(node, request.shape, request.ijk_to_ras)
    except (OSError, ValueError) as error:
        raise Discarded(str(error), "See the log.", "result") from error
    return slicer.util.arrayFromVolume(node).copy()


def _difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Input minus output, as float32."""
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        removed = np.subtract(before, after, dtype=np.float32)
    if before.dtype.kind == "f":
        np.nan_to_num(removed, copy=False, posinf=0.0, neginf=0.0)
    return removed


def _reach(values: np.ndarray) -> float:
    """How far a window must reach: a percentile of the magnitudes, of a sample where they are many."""
    sample = np.abs(values.ravel()[:: max(1, values.size // SAMPLE)])
    sample = sample[np.isfinite(sample)]
    return (float(np.percentile(sample, SHARE)) if sample.size else 0.0) or 1.0


def _facts(request: Request, job: Job, result: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a result."""
    settings = request.settings
    derivation = result.get("derivation")
    derivation = derivation if isinstance(derivation, dict) else {}
    return {
        "version": job.version,
        "model": job.model,
        "modelSha256": str(derivation.get("model_sha256") or ""),
        "preset": settings.preset,
        "mode": PRESETS[settings.preset].mode,
        "steps": settings.evaluations,
        "strength": settings.strength,
        "seed": settings.seed,
        "device": job.device,
        "roi": ",".join(map(str, request.bounds)) if request.bounds else "",
        "derivation": derivation or "",
    }
