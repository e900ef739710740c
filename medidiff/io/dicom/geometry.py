"""From slice headers to stacks: grouping, sorting by position, spacing, tilt, gaps, duplicates.

The slice is the unit of truth: its position along the normal (PS3.3 C.7.6.2.1.1) decides the order, never a
number or a file name, and an irregular series is kept slice by slice instead of being resampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .slice_header import SliceHeader
from .volumes import SPACING_TOLERANCE, repeats, split_volumes

ORIENTATION_TOLERANCE = 1e-4
"""Largest difference of a direction cosine within a stack; real files differ by 1.7e-8."""
PIXEL_SPACING_TOLERANCE = 1e-4
"""Largest relative difference of Pixel Spacing within a stack."""
DECIMALS = (1, 2)
"""With so few decimals some scanners write positions: steps of 0.625 mm are 0.6 and 0.7 mm then."""


@dataclass(frozen=True)
class Stack:
    """Parallel slices of one matrix size, sorted by position along their normal.

    Attributes:
        slices: sorted headers.
        affine: ``[4, 4]``, voxel ``(x, y, z, 1)`` to LPS mm; with gaps, its z column is the usual step; of
            one position, the Slice Thickness, or 1 mm.
        adjacent: bool ``[z - 1]``, True where slices k and k + 1 are one usual step apart.
        regular: True where all steps agree within 1 %, or all slices lie on an even grid but for the
            rounding of their positions: one grid, maybe tilted.
        tilt: degrees between normal and step.
        notes: gaps and duplicates in words.
    """

    slices: tuple[SliceHeader, ...]
    affine: NDArray[np.float64]
    adjacent: NDArray[np.bool_]
    regular: bool
    tilt: float
    notes: tuple[str, ...]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along ``(z, y, x)``; z along the normal."""
        step = abs(float(self.slices[0].normal @ self.affine[:3, 2]))
        return (step, *self.slices[0].spacing)

    def used(self, k: int, context: int) -> list[SliceHeader]:
        """Slice `k` and the neighbours that a model looked at with it.

        Args:
            k: index of the slice.
            context: how many slices away they are, 0 for none; across a gap there is none.
        """
        found = [self.slices[k]]
        if context:
            below, above = k - context, k + context
            found += [self.slices[below]] if below >= 0 and self.adjacent[below:k].all() else []
            found += [self.slices[above]] if above < len(self.slices) and self.adjacent[k:above].all() else []
        return found


def stacks(headers: Iterable[SliceHeader]) -> list[Stack]:
    """Splits the slices of one series into stacks.

    Args:
        headers: slices of one Series Instance UID, in any order, each SOP instance or frame once.

    Returns:
        stacks by echo, b-value and temporal position, first slice, and what else tells them apart; the same
        for every order of `headers`.
    """
    groups: list[list[SliceHeader]] = []
    # UIDs and frame numbers are unique: no file order survives
    everything = sorted(headers, key=lambda h: (h.uid, h.frame_number))
    # Some de-identifiers mint a frame of reference for every slice: then it says nothing about the stack.
    meaningless = len(everything) > 1 and len({h.frame for h in everything}) == len(everything)
    for header in everything:
        for group in groups:
            if _same_grid(group[0], header, ignore_frame=meaningless):
                group.append(header)
                break
        else:
            groups.append([header])
    parts = [part for group in groups for part in split_volumes(sorted(group, key=_place))]
    return [build(part) for part in sorted(parts, key=_rank)]


def _rank(part: Sequence[SliceHeader]) -> tuple[Any, ...]:
    """Where a stack stands among those of its series, as the time points of a 4-D file: by what is a number,
    then as the images are numbered, then by anything else, such as a gradient direction.
    """
    first = part[0]
    split, order = ([_number(v) for v in values] for values in (first.split, first.order))
    return split, round(first.depth, 2), order, first.instance or 0, first.order, first.uid


def _number(text: str) -> float:
    """A number that sorts 2 before 10; infinity for text that is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return np.inf
    return value if np.isfinite(value) else np.inf


def _place(header: SliceHeader) -> tuple[float, tuple[str, ...], str, int]:
    return header.depth, header.order, header.uid, header.frame_number


def _same_grid(a: SliceHeader, b: SliceHeader, *, ignore_frame: bool) -> bool:
    """True where two slices can belong to one stack."""
    for name in ("sop_class", "rows", "columns", "kind"):
        if getattr(a, name) != getattr(b, name):
            return False
    if a.frame != b.frame and not ignore_frame:
        return False
    if not np.allclose(a.spacing, b.spacing, rtol=PIXEL_SPACING_TOLERANCE, atol=0):
        return False
    return np.allclose(a.orientation, b.orientation, rtol=0, atol=ORIENTATION_TOLERANCE)


def build(slices: Sequence[SliceHeader]) -> Stack:
    """Makes a stack of sorted slices: affine, steps, neighbours.

    Args:
        slices: at least one, parallel, sorted by depth.
    """
    first = slices[0]
    positions = np.array([s.position for s in slices])
    steps = np.diff(positions, axis=0)
    depth_steps = steps @ first.normal
    repeated = repeats(slices)
    usual, adjacent = _usual_step(steps, depth_steps, repeated, min(first.spacing))
    even = None if adjacent.all() or repeated.any() else _even_step(positions, first.normal)
    if even is not None:
        usual, adjacent = even, np.ones(len(steps), bool)
    step = first.normal * (first.thickness or 1.0) if usual is None else usual
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.orientation[:3]) * first.spacing[1]
    affine[:3, 1] = np.array(first.orientation[3:]) * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    along = float(first.normal @ step)
    sideways = float(np.linalg.norm(step - along * first.normal))
    near = np.linalg.norm(steps - step, axis=1) <= SPACING_TOLERANCE * abs(along) if len(steps) else adjacent
    return Stack(
        slices=tuple(slices),
        affine=affine,
        adjacent=adjacent,
        regular=even is not None or bool(near.all()),
        tilt=float(np.degrees(np.arctan2(sideways, along))) if usual is not None else 0.0,
        notes=_notes(positions, depth_steps, adjacent, repeated, along),
    )


def _even_step(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The step of the even grid of which these are the rounded positions, None where they are not.

    Args:
        positions: of the slices, ``[z, 3]``.
        normal: of the slices.
    """
    moving = positions[:, np.ptp(positions, axis=0) > 0]
    places = next((d for d in DECIMALS if np.allclose(moving, np.round(moving, d), rtol=0, atol=1e-6)), None)
    if places is None:
        return None
    centred = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = centred @ positions / (centred @ centred)  # least squares
    beside = np.linalg.norm(positions - positions.mean(axis=0) - np.outer(centred, step), axis=1)
    # rounding moves a slice by half a unit of the last place, and the fit by a little
    return step if beside.max() <= min(0.75 * 10.0**-places, abs(normal @ step) / 4) else None


def _usual_step(
    steps: NDArray[np.float64], along: NDArray[np.float64], repeated: NDArray[np.bool_], pixel: float
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_]]:
    """The median step between neighbours and which steps agree with it.

    Neighbours may differ from the usual step by 1 % along the normal, and by half a pixel across it:
    more would show as a shift of the context.
    """
    if not (~repeated).any():
        return None, np.zeros(len(steps), bool)
    middle = np.median(along[~repeated])
    close = ~repeated & (np.abs(along - middle) <= SPACING_TOLERANCE * middle)
    if not close.any():  # an even number of steps in two halves: no step is the median
        middle = np.min(along[~repeated])
        close = ~repeated & (np.abs(along - middle) <= SPACING_TOLERANCE * middle)
    usual = np.mean(steps[close], axis=0)
    if np.ptp(steps[close], axis=0).max() > SPACING_TOLERANCE * middle:
        usual = np.median(steps[close], axis=0)
    if repeated.any():  # which of two slices at one place would be the neighbour is anybody's guess
        return usual, np.zeros(len(steps), bool)
    return usual, close & (np.linalg.norm(steps - usual, axis=1) <= max(0.5 * pixel, 0.02 * middle))


def _notes(
    positions: NDArray[np.float64], along: NDArray[np.float64], adjacent: NDArray[np.bool_],
    repeated: NDArray[np.bool_], usual: float,
) -> tuple[str, ...]:  # fmt: skip
    """Gaps and repeated positions in words, at most three of each."""
    notes = []
    odd = np.abs(along - usual) > SPACING_TOLERANCE * usual if repeated.any() else ~adjacent
    gaps = np.flatnonzero(odd & ~repeated)
    for k in gaps[:3]:
        where = ", ".join(f"{v:.2f}" for v in positions[k])
        notes.append(
            f"slices {k + 1} and {k + 2} are {along[k]:.2f} mm apart, most {usual:.2f} mm; at ({where})"
        )
    if len(gaps) > 3:
        notes.append(f"{len(gaps) - 3} more irregular steps")
    if repeated.any():
        count = int(repeated.sum())
        words = "slice repeats" if count == 1 else "slices repeat"
        notes.append(f"{count} {words} the position of another")
    return tuple(notes)
