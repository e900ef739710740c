"""The figures of ``medidiff evaluate --json`` as plain values, with scans called as a report calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medidiff.report.privacy import hashed

if TYPE_CHECKING:
    from medidiff.batch.judging import Judged, Scored
    from medidiff.evaluation import Cohort, NoReference
    from medidiff.report import Names


class Plain:
    """Figures as plain values.

    Args:
        paths: of the tests.
        names: what paths are called.
        called: what each test is called, by its name on the terminal.
    """

    def __init__(self, paths: Sequence[Path], names: Names, called: Mapping[str, str]) -> None:
        self._names, self._called = names, called
        self._tests = {
            shown: {"path": names.path(path), "name": name}
            for path, (shown, name) in zip(paths, called.items(), strict=True)
        }

    def single(self, reference: Path, judged: Judged) -> dict[str, Any]:
        """One reference, slice by slice."""
        arms = judged.arms
        content: dict[str, Any] = {
            "reference": self._names.path(reference),
            "protocol": str(arms[0].comparison.protocol),
            "tests": [{**self._tests[arm.name], **arm.comparison.as_dict()} for arm in arms],
        }
        for test, removed in zip(content["tests"], judged.removed, strict=False):
            test["removed_noise"] = removed.as_dict()
        if arms[-1].reliability is not None:
            content["uncertainty"] = arms[-1].reliability.as_dict()
        return content

    def several(
        self, reference: Path, found: Cohort, cases: Sequence[Scored], left_over: Mapping[str, Sequence[str]]
    ) -> dict[str, Any]:
        """Several references, scan by scan, and what holds for all of them."""
        to = self._called
        scans = [replace(c, comparisons={to[n]: v for n, v in c.comparisons.items()}) for c in cases]
        everything = replace(
            found,
            arms=tuple(
                replace(a, name=to[a.name], cases=tuple(replace(c, scan=self._scan(c.scan)) for c in a.cases))
                for a in found.arms
            ),
            summaries=tuple(replace(s, arm=to[s.arm]) for s in found.summaries),
            differences=tuple(
                replace(d, first=to[d.first], second=to[d.second]) for d in found.differences
            ),
        )  # fmt: skip
        return {
            "reference": self._names.path(reference),
            "protocol": found.protocol_text,
            "tests": list(self._tests.values()),
            "scans": [case.as_dict() for case in scans],
            "without_reference": {to[name]: list(labels) for name, labels in left_over.items()},
            "cohort": everything.as_dict(),
        }

    def _scan(self, name: str) -> str:
        """The name of a reference, whose folder may be called as a patient is."""
        folder, _, stem = name.rpartition("/")
        return name if self._names.identify or not folder else f"{hashed(folder.replace('/', ' '))}/{stem}"

    def alone(self, scan: Path, found: Sequence[tuple[str, NoReference]]) -> dict[str, Any]:
        """What changed from the scan to each test."""
        return {
            "scan": self._names.path(scan),
            "changes": [{**self._tests[name], **changes.as_dict()} for name, changes in found],
        }
