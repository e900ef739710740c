"""Account: what became of every series, the exit code that follows, and the content of report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from medidiff.batch.planning import Plan
from medidiff.batch.pool import Pool
from medidiff.batch.skips import DAMAGED, NO_IMAGE, skip_groups
from medidiff.errors import CancelledError, MedidiffError, MemoryLimitError, RefusedError, is_memory
from medidiff.io import Derivation, Reason, SeriesItem
from medidiff.report import Images, Names, Study, head, identity, pseudonym

Status = Literal["denoised", "skipped", "refused", "failed", "cancelled"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one series.

    Attributes:
        item: the series.
        status: ``"denoised"``, ``"skipped"``, ``"refused"``, ``"failed"`` or ``"cancelled"``.
        reason: why, unless it was denoised.
        code: the same as the name of a `medidiff.io.Reason`.
        outputs: suffix to path of what was written, or by an earlier run where `done`.
        model: name of the bundle.
        sigma: noise SD used, in the scan's unit.
        sigma_text: the same for people.
        evaluations: network evaluations a slice.
        seconds: time taken.
        clipped: pixels that did not fit the stored type.
        notes: what the user should know.
        error: what went wrong, without its traceback (`medidiff.batch.failures.let_go`).
        trace: the text of that, for developers.
        study: its figures and pictures, if the request asked for them.
        derivation: how it was made.
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
    trace: str = ""
    code: str = ""
    study: Study | None = None
    derivation: Derivation | None = None

    @property
    def done(self) -> bool:
        """An earlier run denoised it, and this one was to go on with what is left."""
        return self.status == "skipped" and self.code == Reason.DONE.name

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

    def as_dict(self, names: Names) -> dict[str, Any]:
        """Plain values for JSON.

        Args:
            names: what paths are called.
        """
        item = self.item
        paths = (*item.files, item.path)
        place = names.path(item.path)
        uid = item.series_uid
        patient = pseudonym(item.files[0]) if item.kind == "dicom" and self.study else None
        return {
            "input": place,
            "label": item.label,
            "kind": item.kind,
            "modality": item.modality,
            "series_uid": None if uid is None else names.text(uid),
            "patient": patient,
            **({"identity": identity(item.files[0])} if names.identify and item.kind == "dicom" else {}),
            "stack": list(item.part),
            "shape_zyx": list(item.shape),
            "spacing_zyx_mm": list(item.spacing),
            "status": self.status,
            "reason": names.text(self.reason, paths).removeprefix(f"{place}: "),
            "code": self.code,
            "outputs": {k: names.path(v) for k, v in (self.outputs or {}).items()},
            "model": self.model,
            "sigma": self.sigma,
            "sigma_text": self.sigma_text,
            "evaluations": self.evaluations,
            "planes": self.derivation.planes if self.derivation else None,
            "seconds": round(self.seconds, 3),
            "clipped_pixels": self.clipped,
            "notes": [names.text(note, paths) for note in self.notes],
            **(self.study.content if self.study else {}),
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
        some = self.count("denoised") or any(o.done for o in self.outcomes)
        return bad.pop() if len(bad) == 1 and not some else 4

    def as_dict(self, pool: Pool, command: Sequence[str] = ()) -> dict[str, Any]:
        """The report: plain values for JSON, without patient data unless the request says so.

        Args:
            pool: the models and engines of the run.
            command: how the run was started.
        """
        request, settings = self.plan.request, self.plan.request.settings
        names = Names(request.paths, request.out_dir, identify=request.identify)
        sigma_map = None if request.sigma_map is None else names.path(request.sigma_map)
        return {
            **head("denoising", self.started, self.seconds, command, names),
            "exit_code": self.exit_code,
            "inputs": [names.path(p) for p in request.paths],
            "settings": {
                "mode": settings.mode,
                "tier": settings.tier,
                "steps": settings.evaluations,
                "samples": settings.draws,
                "strength": settings.strength,
                "guidance": settings.guidance,
                "sigma": sigma_map or settings.sigma or "auto",
                "coils": settings.coils,
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
            "series": [o.as_dict(names) for o in self.outcomes],
            "skipped_files": [
                {
                    "code": reason.name,
                    "reason": reason.value,
                    # That of a duplicate names the other file or its folder.
                    "detail": "" if reason is Reason.DUPLICATE and not names.identify else detail,
                    "image": reason not in NO_IMAGE,
                    "files": len(paths),
                    "paths": [names.path(p) for p in paths],
                }
                for reason, detail, paths in skip_groups(self.plan.discovery.skipped)
            ],
        }

    @property
    def earlier(self) -> tuple[Path | None, ...]:
        """For each series the output that an earlier run left; None for all others."""
        return tuple((o.outputs or {}).get("denoised") if o.done else None for o in self.outcomes)

    @property
    def images(self) -> Images:
        """The pictures of all series."""
        return {key: image for o in self.outcomes if o.study for key, image in o.study.images.items()}
