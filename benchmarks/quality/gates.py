"""Gates: what a release model has to reach, computed from the rows of the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from medidiff.volume import HU_NAMES
from quality.averages import difference, mean, order_of_levels, select
from quality.case import CLEAN, NOISY
from quality.rows import Row
from quality.table import markdown

MET, NOT_MET, NOT_MEASURED = "met", "**not met**", "not measured"
SOFT_HU, OTHER_HU = 1.0, 5.0
RED_CNN_DOSE = "25%"


@dataclass(frozen=True)
class Gate:
    """One requirement.

    Attributes:
        text: what is asked for.
        figure: what was found, level by level.
        verdict: `MET`, `NOT_MET` or `NOT_MEASURED`.
    """

    text: str
    figure: str
    verdict: str


Part = tuple[str, bool | None]
"""A figure in words and whether it is good enough; None where a method is missing that might change that."""


def gates(rows: list[Row], modality: str, unlearned: Sequence[str]) -> list[Gate]:
    """All gates of a modality.

    Args:
        rows: of the run.
        modality: ``"ct"`` or ``"mr"``.
        unlearned: names of the methods that were not trained.
    """
    return _ct(rows, unlearned) if modality == "ct" else _mr(rows)


def gate_table(found: Sequence[Gate]) -> str:
    """The gates in Markdown."""
    return markdown(["gate", "found", "verdict"], [[g.text, g.figure, g.verdict] for g in found])


def _ct(rows: list[Row], unlearned: Sequence[str]) -> list[Gate]:
    best = "the best method without training that has the true noise level"
    asked = [
        (CLEAN, "mean", 1.0),
        (CLEAN, "natural", 0.3),
        (NOISY, "mean", 1.0),
        (NOISY, "natural", 0.3),
        (NOISY, "mean_ref", 1.0),
    ]
    found = [
        _gate(
            f"`{ours}` at least {margin:g} dB above {best}, every dose ({kind})",
            rows,
            kind,
            partial(_above_best, rows, kind, ours=ours, peers=unlearned, margin=margin),
        )
        for kind, ours, margin in asked
    ]
    for kind in (CLEAN, NOISY):
        found.append(
            _gate(
                f"`mean` not below retrained RED-CNN at its own dose ({RED_CNN_DOSE}), and above with its "
                f"whole interval at the others ({kind})",
                rows,
                kind,
                partial(_above_red_cnn, rows, kind),
            )
        )
    for kind in (CLEAN, NOISY):
        for ours in ("mean", "natural"):
            text = f"`{ours}`: bias within {SOFT_HU:g} HU in soft tissue, {OTHER_HU:g} HU elsewhere ({kind})"
            found.append(_gate(text, rows, kind, partial(_bias, rows, kind, ours=ours)))
    return found


def _mr(rows: list[Row]) -> list[Gate]:
    return [
        _gate(
            f"`mean` above {name}, every level ({kind}, {where})",
            rows,
            kind,
            partial(_above, rows, kind, ours="mean", peer=peer, clearly=False, figure=figure),
        )
        for kind in (NOISY, CLEAN)
        for figure, where in (("psnr", "whole slice"), ("psnr_tissue", "tissue"))
        for name, peer in (
            ("BM4D", "BM4D"),
            ("dipy NLM", "dipy NLM (Rician)"),
            ("retrained DnCNN", "DnCNN"),
        )
    ]


def _gate(text: str, rows: list[Row], kind: str, part: Callable[[str], Part | None]) -> Gate:
    """A gate over the levels of a kind of reference; every level must pass."""
    levels = order_of_levels(r.level for r in rows if r.kind == kind)
    parts = [(level, part(level)) for level in levels]
    told = "; ".join(f"{level}: {'not measured' if p is None else p[0]}" for level, p in parts)
    verdicts = [None if p is None else p[1] for _, p in parts]
    if False in verdicts:
        return Gate(text, told, NOT_MET)
    if not parts or None in verdicts:
        return Gate(text, told or "-", NOT_MEASURED)
    return Gate(text, told, MET)


def _above_best(
    rows: list[Row], kind: str, level: str, ours: str, peers: Sequence[str], margin: float
) -> Part | None:
    """Mean PSNR above that of the best peer, on the cases that both have."""
    found = {p: difference(rows, kind, level, ours, p, "psnr") for p in peers}
    known = {p: d.value for p, d in found.items() if d.value is not None}
    if not known:
        return None
    best = min(known, key=lambda p: known[p])
    text, good = f"{known[best]:+.2f} dB ({best})", known[best] >= margin
    if missing := [p for p in peers if p not in known]:
        return f"{text}, without {' and '.join(missing)}", None if good else False
    return text, good


def _above(
    rows: list[Row], kind: str, level: str, ours: str, peer: str, clearly: bool, figure: str = "psnr"
) -> Part | None:
    """Not below a peer, or above it with the whole interval."""
    found = difference(rows, kind, level, ours, peer, figure)
    if found.value is None:
        return None
    if found.low is None:
        return f"{found.value:+.2f} dB ({found.text})", found.value > 0 and not clearly
    text = f"{found.value:+.2f} dB ({found.low:+.2f} to {found.high:+.2f})"
    return text, found.low > 0 if clearly else found.value >= 0


def _above_red_cnn(rows: list[Row], kind: str, level: str) -> Part | None:
    """`mean` beside retrained RED-CNN, which has one dose of its own."""
    return _above(rows, kind, level, "mean", "RED-CNN", clearly=level != RED_CNN_DOSE)


def _bias(rows: list[Row], kind: str, level: str, ours: str) -> Part | None:
    """The worst bin against its limit; soft tissue apart."""
    mine = select(rows, kind, level, ours)
    values = {t: mean(mine, f"bias_{t}").value for t in HU_NAMES}
    known = {t: v for t, v in values.items() if v is not None}
    if "soft" not in known:
        return None
    others = {t: v for t, v in known.items() if t != "soft"}
    worst = max(others, key=lambda t: abs(others[t]), default="soft")
    good = abs(known["soft"]) <= SOFT_HU and all(abs(v) <= OTHER_HU for v in others.values())
    return f"soft {known['soft']:+.2f}, {worst} {known[worst]:+.2f} HU", good
