"""Rows: the finished figures of a run in a JSON-lines file, so that a long run can be stopped and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One method on one case.

    Attributes:
        case: name of the case.
        label: scan.
        patient: unit of the bootstrap.
        level: dose or noise level.
        kind: kind of reference.
        method: name.
        given: what it was told; a row with another text is of another method.
        figures: by name.
        seconds: a slice.
    """

    case: str
    label: str
    patient: str
    level: str
    kind: str
    method: str
    given: str
    figures: dict[str, float]
    seconds: float


@dataclass
class Rows:
    """The rows of one run.

    Attributes:
        path: the file.
        header: what makes rows of two runs comparable.
        rows: in the order in which they were finished.
        costs: peak memory in MB of a process of its own, by method.
    """

    path: Path
    header: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, header: dict[str, Any], fresh: bool = False) -> Rows:
        """Reads what is there, or begins a file.

        Args:
            path: the file; a last line that was cut off is dropped.
            header: of this run.
            fresh: throw away what is there.

        Raises:
            ValueError: the file is of another run.
        """
        store = cls(path, header)
        if fresh or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"header": header}) + "\n", "utf-8")
            return store
        lines = path.read_text("utf-8").splitlines()
        entries = []
        for number, line in enumerate(lines):
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                if number < len(lines) - 1:
                    raise ValueError(f"{path}: line {number + 1} is damaged") from None
        found = entries[0].get("header") if entries else None
        if found != header:
            raise ValueError(
                f"{path} holds rows of another run ({found}); this one is {header}. "
                "Name another --rows file, or throw them away with --fresh."
            )
        text = "".join(json.dumps(e) + "\n" for e in entries)
        if text != path.read_text("utf-8"):
            path.write_text(text, "utf-8")
        for entry in entries[1:]:
            if "cost" in entry:
                store.costs[entry["cost"]] = entry["peak_mb"]
            else:
                store.rows.append(Row(**entry))
        return store

    def add(self, row: Row) -> None:
        """Appends a finished row; an older row of the same case and method is replaced."""
        self.rows = [r for r in self.rows if (r.case, r.method) != (row.case, row.method)] + [row]
        self._append(asdict(row))

    def add_cost(self, method: str, peak_mb: float) -> None:
        """Appends the peak memory of a method."""
        self.costs[method] = peak_mb
        self._append({"cost": method, "peak_mb": peak_mb})

    def pending(self, case: str, methods: Iterable[tuple[str, str]]) -> list[str]:
        """The methods, as pairs of name and what is told, that have no row of this case yet."""
        done = {(r.method, r.given) for r in self.rows if r.case == case}
        return [name for name, given in methods if (name, given) not in done]

    def latest(self) -> list[Row]:
        """One row a case and method, the last one."""
        return list({(r.case, r.method): r for r in self.rows}.values())

    def _append(self, entry: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
