"""Masks: which image of a folder of masks belongs to which of several references."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from medidiff.batch.pairing import Pair, in_one_place, stem_of
from medidiff.batch.skips import nothing_found
from medidiff.errors import UsageError
from medidiff.io import SeriesItem, discover

WORD = re.compile(r"(^|[_-])(mask|label|labels|labelmap|seg|dseg|roi)$", re.IGNORECASE)
"""What the names of masks end in, beside the name of the image that they are of."""


def masks_of(pairs: Sequence[Pair], path: Path) -> dict[str, SeriesItem]:
    """For each reference that has a test scan the one mask under a path that belongs to it.

    It has the reference's matrix, spacing and place. Of two files, the mask is called as the reference is
    (``ct_mask.nii.gz`` or ``ct.nii.gz`` for ``ct.nii.gz``), else as its beginning (``sub-1_desc-brain_mask``
    for ``sub-1_T1w``), else by such a word alone in the same folder (``p1/mask`` for ``p1/ct``). Where that
    leaves several, it lies in the same folder.

    Args:
        pairs: of several references. Their images are no masks, unless they are called so: a file of the
            name ``mask.nii.gz`` beside the references is taken for one more of them.
        path: folder of the masks.

    Returns:
        by the name of the reference.

    Raises:
        NoImageError: nothing lies there.
        UsageError: a reference has no mask or several, or two have the same one.
    """
    found = discover([path], label_maps=True)
    if not found.items:
        raise nothing_found([path], found.skipped)
    files = (i for p in pairs for i in (p.reference, *p.tests) if i is not None and i.kind != "dicom")
    images = {item.path.resolve() for item in files if not WORD.search(stem_of(item))}
    candidates = [c for c in found.items if c.path.resolve() not in images]
    masks: dict[str, SeriesItem] = {}
    for item in (pair.reference for pair in pairs if any(pair.tests)):
        fitting = _fitting(item, [c for c in candidates if in_one_place(item, c)])
        mine = [c for c in fitting if _folder(c) == _folder(item)] or fitting
        if len(mine) != 1 or mine[0] in masks.values():
            what = "no mask" if not mine else f"{len(mine)} masks" if len(mine) > 1 else "the mask of another"
            raise UsageError(
                f"The reference {item.label} has {what}", where=path,
                received=", ".join(c.label for c in (mine or candidates)[:4]) or "no other image",
                hint="Give a folder with one mask for each reference, on its grid and called as it is, as in "
                "ct_mask.nii.gz for ct.nii.gz; or one reference with its mask.",
            )  # fmt: skip
        masks[item.name] = mine[0]
    return masks


def _fitting(reference: SeriesItem, candidates: list[SeriesItem]) -> list[SeriesItem]:
    """Candidates with the nearest name; all of them where the reference is DICOM, whose files have none."""
    if reference.kind == "dicom":
        return candidates
    name = stem_of(reference)
    called = [(WORD.sub("", stem_of(c)), c) for c in candidates]
    same = [c for word, c in called if word == name]
    begins = [c for word, c in called if word and name.startswith(f"{word}_")]
    alone = [c for word, c in called if not word and _folder(c) == _folder(reference)]
    return same or begins or alone


def _folder(item: SeriesItem) -> str:
    """The folder of a file below the one that was named."""
    return item.name.rpartition("/")[0]
