"""Skips: files that are no scan, in groups, and the error where nothing else is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from medidiff.errors import MedidiffError, NoImageError, RefusedError
from medidiff.io import Reason, Skipped

NO_IMAGE = {
    Reason.NOT_FOUND, Reason.UNREADABLE, Reason.HIDDEN, Reason.EMPTY, Reason.NOT_AN_IMAGE, Reason.SIDECAR,
    Reason.ARCHIVE, Reason.NESTED_ARCHIVE, Reason.DICOMDIR, Reason.DICOMDIR_MISSING, Reason.DICOMDIR_UNSAFE,
    Reason.NOT_AN_IMAGE_OBJECT,
}  # fmt: skip
"""Reasons that mean "no image here"; any other means "an image, but refused"."""

DAMAGED = {
    Reason.UNREADABLE, Reason.DAMAGED_HEADER, Reason.DAMAGED_ZIP, Reason.DAMAGED_GZIP, Reason.NO_PIXELS,
    Reason.NO_VOXEL_FILE, Reason.DICOMDIR_MISSING, Reason.TRUNCATED, Reason.UID_REUSED,
}  # fmt: skip
"""Reasons that mean "part of the data is lost": a run beside such a file is not a complete one."""

SHOWN_REASONS = 3


def nothing_found(paths: Sequence[Path], skipped: Sequence[Skipped]) -> MedidiffError:
    """The error for paths without anything to denoise: no image, or only images that are refused."""
    where = paths[0] if len(paths) == 1 else None
    # A second name of a file says nothing that the first does not.
    skipped = [s for s in skipped if s.reason is not Reason.DUPLICATE]
    refused = [s for s in skipped if s.reason not in NO_IMAGE]
    if not skipped:
        return NoImageError("no CT or MR image found: the folder is empty", where=where)
    if len(refused) == 1 == len(skipped):
        return RefusedError(f"cannot be processed: {refused[0].sentence}", where=refused[0].path)
    counts = Counter(s.reason.value for s in refused or skipped)
    shown = [f"{n} {'file' if n == 1 else 'files'}: {text}" for text, n in counts.most_common(SHOWN_REASONS)]
    shown += ["..."] if len(counts) > SHOWN_REASONS else []
    if refused:
        return RefusedError(f"no image that can be processed ({'; '.join(shown)})", where=where)
    return NoImageError(f"no CT or MR image found ({'; '.join(shown)})", where=where)


def skip_groups(skipped: Sequence[Skipped]) -> list[tuple[Reason, str, tuple[Path, ...]]]:
    """Skipped files by reason and detail, the largest group first."""
    groups: dict[tuple[Reason, str], list[Path]] = {}
    for s in skipped:
        groups.setdefault((s.reason, s.detail), []).append(s.path)
    ordered = sorted(groups.items(), key=lambda pair: -len(pair[1]))
    return [(reason, detail, tuple(paths)) for (reason, detail), paths in ordered]
