"""Account: what became of every series, the exit code that follows, and report.json."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from medidiff import __version__
from medidiff.batch.planning import Plan
from medidiff.batch.pool import Pool
from medidiff.batch.skips import DAMAGED, NO_IMAGE, skip_groups
from medidiff.errors import CancelledError, MedidiffError, MemoryLimitError, OutputError, RefusedError
from medidiff.io import SeriesItem
from medidiff.io.atomic import staged

Status = Literal["denoised", "skipped", "refused", "failed", "cancelled"]

NOTICE = "Research use only. Not a medical device."
FORMAT = 1
PACKAGES = ("numpy", "scipy", "pydicom", "nibabel", "SimpleITK", "openvino", "onnxruntime", "tensorflow")
OTHER_NAMES = {"tensorflow": "tensorflow-cpu"}
"""Distributions that hold the same package."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one series.

    Attributes:
        item: the series.
        status: ``"denoised"``, ``"skipped"``, ``"refused"``, ``"failed"`` or ``"cancelled"``.
        reason: why, unless it was denoised.
        code: the same as the name of a `medidiff.io.Reason`.
        outputs: suffix to path of what was written.
        model: name of the bundle.
        sigma: noise SD used, in the scan's unit.
        sigma_text: the same for people.
        evaluations: network evaluations a slice.
        seconds: time taken.
        clipped: pixels that did not fit the stored type.
        notes: what the user should know.
        error: what went wrong.
    """

    item: SeriesItem
    status: Status
    reason: str = ""
    outputs: Mapping[str, Path] | None = None
    model: str | None = None
    sigma: float | None = None
    sigma_text: str = ""
    evaluations: int = 0
    seconds: float = 0.0
    clipped: int = 0
    notes: tuple[str, ...] = ()
    error: BaseException | None = None
    code: str = ""

    @property
    def exit_code(self) -> int:
        """What the command would end with if this were the only series."""
        if self.status in ("denoised", "skipped"):
            return 0
        if self.error is not None and is_memory(self.error):
            return MemoryLimitError.exit_code
        if self.status == "refused":
            return RefusedError.exit_code
        return self.error.exit_code if isinstance(self.error, MedidiffError) else 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        item = self.item
        return {
            "input": str(item.path),
            "label": item.label,
            "kind": item.kind,
            "modality": item.modality,
            "series_uid": item.series_uid,
            "stack": list(item.part),
            "shape_zyx": list(item.shape),
            "status": self.status,
            "reason": self.reason,
            "code": self.code,
            "outputs": {k: str(v) for k, v in (self.outputs or {}).items()},
            "model": self.model,
            "sigma": self.sigma,
            "sigma_text": self.sigma_text,
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3),
            "clipped_pixels": self.clipped,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class Account:
    """A finished run.

    Attributes:
        plan: what was to be done.
        outcomes: what became of each series.
        started: when it began.
        seconds: time taken.
        cancelled: the user stopped it.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...]
    started: datetime
    seconds: float
    cancelled: bool = False

    def count(self, *statuses: Status) -> int:
        """Number of series with one of these statuses."""
        return sum(o.status in statuses for o in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0 all done; 4 some not, or files damaged; 5 all refused; 6 cancelled; else what failures share."""
        if self.cancelled:
            return CancelledError.exit_code
        if not self.outcomes:
            return RefusedError.exit_code
        bad = {o.exit_code for o in self.outcomes if o.status not in ("denoised", "skipped")}
        if not bad:
            return 4 if any(s.reason in DAMAGED for s in self.plan.discovery.skipped) else 0
        return bad.pop() if len(bad) == 1 and not self.count("denoised") else 4

    def as_dict(self, pool: Pool) -> dict[str, Any]:
        """The report: plain values for JSON."""
        request, settings = self.plan.request, self.plan.request.settings
        return {
            "format": FORMAT,
            "tool": "medidiff",
            "notice": NOTICE,
            "started": self.started.astimezone(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
            "versions": versions(),
            "platform": platform.platform(),
            "inputs": [str(p) for p in request.paths],
            "output": str(request.out_dir),
            "settings": {
                "mode": settings.mode,
                "steps": settings.evaluations,
                "samples": settings.draws,
                "strength": settings.strength,
                "sigma": str(request.sigma_map) if request.sigma_map else settings.sigma or "auto",
                "seed": settings.seed,
                "modality": request.modality,
                "format": request.format,
                "overwrite": request.overwrite,
                "keep_private": request.keep_private,
            },
            "models": [
                {
                    "name": b.name,
                    "version": b.version,
                    "modality": b.modality,
                    "sha256": b.sha256,
                    "licence": b.licence,
                    "attribution": list(b.attribution),
                }
                for b in pool.bundles
            ],
            "engines": [{"name": e.name, "device": e.device, "precision": e.precision} for e in pool.engines],
            "series": [o.as_dict() for o in self.outcomes],
            "skipped_files": [
                {
                    "code": reason.name,
                    "reason": reason.value,
                    "detail": detail,
                    "image": reason not in NO_IMAGE,
                    "files": len(paths),
                    "paths": [str(p) for p in paths],
                }
                for reason, detail, paths in skip_groups(self.plan.discovery.skipped)
            ],
        }


def is_memory(error: BaseException) -> bool:
    """True where memory ran out, also inside a library that has an error of its own for it."""
    return isinstance(error, (MemoryError, MemoryLimitError)) or "bad_alloc" in str(error)


def versions() -> dict[str, str | None]:
    """Versions of medidiff, Python and the libraries that shape the result; None where absent."""
    found: dict[str, str | None] = {"medidiff": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        found[name] = None
        for distribution in (name, OTHER_NAMES.get(name, name)):
            with suppress(PackageNotFoundError):
                found[name] = found[name] or version(distribution)
    return found


def write_report(content: Mapping[str, Any], path: Path, *, overwrite: bool) -> Path:
    """Writes a report atomically; an earlier one is kept under a number, or replaced with `overwrite`.

    Args:
        content: plain values.
        path: where to.
        overwrite: replace an earlier report of medidiff.

    Raises:
        OutputError: a foreign file is in the way, or the file cannot be written.
    """
    check_report(path)
    if path.exists() and not overwrite:
        k = 1
        while (kept := path.with_name(f"{path.stem}-{k}{path.suffix}")).exists():
            k += 1
        path.rename(kept)
    with staged(path, folder=False, overwrite=True, inputs=()) as new:
        new.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def check_report(path: Path) -> None:
    """Makes sure that no file of somebody else is where the report goes.

    Raises:
        OutputError: there is one.
    """
    if not path.exists():
        return
    try:
        ours = json.loads(path.read_text(encoding="utf-8")).get("tool") == "medidiff"
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise OutputError(
            "is not a report of medidiff and stays as it is", where=path,
            hint="Choose another place.",
        )  # fmt: skip
