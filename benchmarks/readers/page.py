"""The page: a table of verdicts in words."""

from __future__ import annotations

import re
import textwrap

from readers.judge import EXACT, NEAR, Part, Verdict

LONGEST = 100
"""Characters of a message that are shown."""

TITLE = "# What other readers make of awkward series"
INTRODUCTION = (
    "*Written by `python benchmarks/readers --peers .venv-readers/bin/python` on {date}; do not edit.*",
    """Every case is a folder of DICOM files, made from one regular series by changing what the case names:
    {label}. Each tool gets the folder as a user would give it, with default settings, in a process of
    its own: medidiff with strength 0 (discovery, reading, derived series; and the same with export to
    NIfTI), SimpleITK reads every series that its GDCM finds, dcm2niix and dicom2nifti convert the
    folder, highdicom makes a volume of every series. Every slice that comes back is looked up in the
    truth, by its image or else by its place.""",
    "{versions}",
)
LEGEND = (
    """**reads**: slices of each volume, distance of the slices in mm, and the largest error of a value (0:
    no more than float32 makes of it, {exact:g}). Every slice lies where the scanner put it, within
    {near:g} mm.""",
    """**wrong**: something came back that a program would use and that is not the scan: values with an
    error; slices "off" their place by so many mm; slices invented (interpolated) or repeated; slices of
    different stacks in one volume ("mixed").""",
    """**other image apart**: what is no slice of the scan, in a volume of its own. **lost**: slices that
    are in no volume. **warns**: the tool printed a warning, or medidiff a note, that it does not print
    for the regular series. **skips**: files that medidiff lists with this reason. **refuses**: nothing
    came back, and the message, cut. **fails**: the same by an accident (an exception that is none of
    the tool's own, a crash, a timeout).""",
    """A refusal is the right answer where a format cannot say what the scan is: a NIfTI file has one
    distance between slices. dcm2niix and SimpleITK are made to get something out of every file,
    medidiff to change nothing but the noise.""",
)


def _filled(paragraphs: tuple[str, ...], **words: object) -> str:
    """Paragraphs of lines of 120 characters."""
    texts = [" ".join(paragraph.format(**words).split()) for paragraph in paragraphs]
    return "\n\n".join(textwrap.fill(t, 120, break_on_hyphens=False, break_long_words=False) for t in texts)


def plain(line: str) -> str:
    """A message without numbers, paths and UIDs, to tell new ones from usual ones."""
    return re.sub(r"[\d.]+|/\S+", "#", line)


def message(text: str) -> str:
    """A message for a cell: without paths, short, safe in a table."""
    text = re.sub(r"(?:/[\w.\-]+)+/?:?", "", text)
    text = re.sub(r"\d+(?:\.\d+){5,}", "UID", text)
    text = re.sub(r".*ERROR: (?:\w+\(0x\w+\): )?|[\w.]*(?:Error|Exception): |^(?:Warning|Error): ", "", text)
    text = " ".join(text.replace("|", "/").replace("*", "").replace("`", "").split())
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " ..."


def cell(verdict: Verdict) -> str:
    """One verdict in words."""
    if not verdict.parts:
        return f"{'fails' if verdict.crashed else 'refuses'}: {message(verdict.failed)}"
    right = [part for part in verdict.parts if not part.wrong and not part.other]
    worst = max((part.error for part in right), default=0.0)
    error = _number(worst) if worst > EXACT else "0"
    words = [f"reads {_slices(right)}{_colour(right)}, error {error}"] if right else []
    words += ["other image apart" for part in verdict.parts if part.other]
    for part in verdict.parts:
        if part.wrong:
            label = f" ({part.label})" if len(verdict.parts) > 1 and part.label else ""
            words.append(
                f"**wrong**{label}: reads {_slices([part])}{_colour([part])}, {', '.join(_faults(part))}"
            )
    if verdict.lost:
        words.append(f"{verdict.lost} lost")
    if verdict.skipped:
        names = sorted(set(verdict.skipped))
        words.append("skips " + ", ".join(f"{verdict.skipped.count(n)} ({n})" for n in names))
    if verdict.said:
        words.append("warns")
    if verdict.failed:
        words.append(f"then {'fails' if verdict.crashed else 'refuses'}: {message(verdict.failed)}")
    return "; ".join(words)


def _faults(part: Part) -> list[str]:
    faults = ["stacks mixed"] if part.mixed else []
    faults += [f"off by {_number(part.off)} mm"] if part.off > NEAR else []
    faults += [f"{part.invented} invented"] if part.invented else []
    faults += [f"{part.repeated} repeated"] if part.repeated else []
    return faults + ([f"error {_number(part.error)}"] if part.error > EXACT else [])


def _number(value: float) -> str:
    """Three figures, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _colour(parts: list[Part]) -> str:
    return ", RGB" if any(part.colour for part in parts) else ""


def _slices(parts: list[Part]) -> str:
    """ "10 + 10 slices, 3.27 mm", "20 volumes of 1 slice"."""
    counts = [part.slices for part in parts]
    if len(counts) > 3:
        sizes = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
        text = f"{len(counts)} volumes of {sizes} {'slice' if max(counts) == 1 else 'slices'}"
    else:
        text = f"{' + '.join(map(str, counts))} {'slice' if sum(counts) == 1 else 'slices'}"
    steps = [step for part in parts if part.slices > 1 for step in part.steps]
    if not steps:
        return text
    low, high = min(steps), max(steps)
    return f"{text}, {low:.2f} mm" if high - low <= 0.01 * high else f"{text}, {low:.2f} to {high:.2f} mm"


def page(
    table: dict[str, dict[str, Verdict]],
    tools: dict[str, str],
    *,
    label: str,
    date: str,
    missing: list[str],
    left_out: list[str],
) -> str:
    """The whole page in Markdown."""
    named = {tool.split()[0]: version for tool, version in tools.items()}
    versions = "Versions: " + ", ".join(f"{tool} {version}" for tool, version in named.items()) + "."
    if missing:
        versions += f" Not installed, so left out: {', '.join(missing)}."
    if left_out:
        versions += f" Cases left out: {'; '.join(left_out)}."
    lines = [TITLE, "", _filled(INTRODUCTION, date=date, label=label, versions=versions), ""]
    lines.append("| case | " + " | ".join(tools) + " |")
    lines.append("|---" * (len(tools) + 1) + "|")
    lines += [
        f"| {title} | " + " | ".join(cell(row[t]) for t in tools) + " |" for title, row in table.items()
    ]
    lines.append(
        "| *all right / something wrong / refuses, fails or loses* | "
        + " | ".join(" / ".join(str(n) for n in _sums([row[t] for row in table.values()])) for t in tools)
        + " |"
    )
    lines += ["", _filled(LEGEND, exact=EXACT, near=NEAR), "", _better(table, tools), ""]
    return "\n".join(lines)


def _is_right(verdict: Verdict) -> bool:
    return bool(verdict.parts) and not _is_wrong(verdict) and not verdict.lost


def _is_wrong(verdict: Verdict) -> bool:
    return any(part.wrong for part in verdict.parts)


def _sums(verdicts: list[Verdict]) -> tuple[int, int, int]:
    right, wrong = sum(map(_is_right, verdicts)), sum(map(_is_wrong, verdicts))
    return right, wrong, len(verdicts) - right - wrong


def _better(table: dict[str, dict[str, Verdict]], tools: dict[str, str]) -> str:
    """The cases that another tool reads and medidiff does not."""
    own = next(iter(tools))
    lines = []
    for title, row in table.items():
        others = [t for t in tools if not t.startswith(own) and _is_right(row[t])]
        if others and not _is_right(row[own]):
            lines.append(f"* {title}: {', '.join(others)}")
    if not lines:
        return "No other tool reads a case that medidiff does not."
    return (
        "Where another tool does better than medidiff (all slices, right values, right places):\n\n"
        + "\n".join(lines)
    )
