"""Tells apart the volumes of a series: at the same positions, or in between each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .slice_header import SliceHeader

SPACING_TOLERANCE = 0.01
"""Largest relative difference of the steps of a regular stack (highdicom's tolerance)."""

FURTHER = 1.4
"""Where slices are told to lie so many times further apart than they do, there is more than one volume."""


def split_volumes(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Separates the volumes among parallel slices of one matrix size.

    Args:
        slices: sorted by depth.

    Returns:
        the slices of each volume, sorted likewise; all together where nothing tells volumes apart.
    """
    return [
        part
        for values in _split_values(slices)
        for several in _split_repeats(values)
        for nested in _split_interleaved(several)
        for volume in _split_spaced(nested)
        for part in _split_repeats(volume)  # time points of one of the interleaved volumes
    ]


def _split_values(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Separates echoes, b-values and temporal positions (`SliceHeader.split`).

    Values that would leave most parts with holes, or with a single slice, where all together are one even
    volume number its slices, or are not the same to the last digit: they do not count.
    """
    parts: dict[tuple[str, ...], list[SliceHeader]] = defaultdict(list)
    for header in slices:
        parts[header.split].append(header)
    depths = {key: np.array([s.depth for s in part]) for key, part in parts.items()}
    torn = sum(len(d) < 2 or not _even(d) for d in depths.values())
    whole = len(slices) > 3 and not repeats(slices).any() and _even(np.array([s.depth for s in slices]))
    return [slices] if whole and 2 * torn > len(parts) else list(parts.values())


def repeats(slices: Sequence[SliceHeader]) -> NDArray[np.bool_]:
    """bool ``[z - 1]``: slices k and k + 1 lie at one position along the normal."""
    steps = np.diff([s.depth for s in slices])
    usual = steps[steps > 1e-3]
    return np.asarray(steps <= (SPACING_TOLERANCE * np.median(usual) if usual.size else 1e-3))


def _split_repeats(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Separates volumes at the same positions by `SliceHeader.order`: acquisition, inversion time, flip
    angle, gradient direction, time, kernel or another dimension, where that comes out even: the same
    positions in every part, each once. Otherwise counts their Instance Numbers, or leaves them together.
    """
    if len(slices) < 2 or not repeats(slices).any():
        return [slices]
    for index in range(min(len(s.order) for s in slices)):
        parts: dict[str, list[SliceHeader]] = defaultdict(list)
        for header in slices:
            parts[header.order[index]].append(header)
        if len(parts) < 2 or len({len(p) for p in parts.values()}) > 1 or len(parts) == len(slices):
            continue
        depths = np.array([[s.depth for s in p] for p in parts.values()])
        if np.ptp(depths, axis=0).max() <= 1e-2 and not any(repeats(p).any() for p in parts.values()):
            return list(parts.values())
    return _split_passes(slices)


def _split_passes(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Separates volumes that only the Instance Number (or frame number) tells apart: b-values, dynamics and
    echoes of which all else is private or removed.

    The numbers must count volume after volume, each in the same order, or all images of one position after
    those of another: no other order says which images belong together.

    Args:
        slices: sorted by depth, some at one position.
    """
    numbers = [s.instance for s in slices]
    places = np.concatenate([[0], np.cumsum(~repeats(slices))])
    count, times = int(places[-1]) + 1, len(slices) // (int(places[-1]) + 1)
    uneven = len(slices) != count * times or (np.bincount(places) != times).any()
    if count < 3 or uneven or None in numbers or len(set(numbers)) < len(numbers):
        return [slices]
    order = np.array(sorted(range(len(slices)), key=lambda k: numbers[k] or 0))
    found = places[order]
    if (found.reshape(times, count) == found[:count]).all():
        rows = order.reshape(times, count)
    elif (found.reshape(count, times) == found[::times, None]).all():
        rows = order.reshape(count, times).T
    else:
        return [slices]
    return [[slices[k] for k in sorted(row)] for row in rows]


def _split_interleaved(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Separates volumes whose slices lie between each other's, as two contrast phases half a step apart do.

    Parts that continue each other along the normal stay together, also where they overlap by a few slices.
    """
    stacks = [slices]
    for index in range(min((len(s.volume) for s in slices), default=0)):
        stacks = [part for stack in stacks for part in _split_by(stack, index)]
    return stacks


def _split_by(slices: list[SliceHeader], index: int) -> list[list[SliceHeader]]:
    """Deals the parts that one element of `SliceHeader.volume` makes into as few stacks as it takes that no
    two parts of a stack interleave; the first acquisitions come first.
    """
    depths = np.array([s.depth for s in slices])
    parts: dict[str, list[int]] = defaultdict(list)
    for k, header in enumerate(slices):
        parts[header.volume[index]].append(k)
    stacks: list[list[list[int]]] = [[]]
    for name in sorted(parts, key=lambda v: (len(v), v)):  # 2 before 10
        part = parts[name]
        free = (s for s in stacks if not any(_interleave(depths[part], depths[other]) for other in s))
        home = next(free, None)
        if home is None:
            stacks.append(home := [])
        home.append(part)
    found = [sorted(k for part in stack for k in part) for stack in stacks]
    # Numbers that leave holes in an even grid say something else than which volume a slice belongs to.
    if len(found) < 2 or (_even(depths) and not all(_even(depths[rows]) for rows in found)):
        return [slices]
    return [[slices[k] for k in rows] for rows in found]


def _split_spaced(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Separates volumes whose slices lie between each other's where Spacing Between Slices (0018,0088) says
    that those of one volume lie further apart, as MR phases that only time or acquisition number tells apart.

    Of two passes over the odd and the even slices of one volume it says that they lie as close as they do.
    """
    steps = np.diff([s.depth for s in slices])
    steps = steps[steps > 1e-3]
    told = [s.spaced for s in slices if s.spaced is not None]
    if steps.size < 3 or len(told) < len(slices) or np.ptp(told) > SPACING_TOLERANCE * told[0]:
        return [slices]
    if told[0] < FURTHER * np.median(steps):
        return [slices]
    for index in range(min(len(s.order) for s in slices)):
        parts: dict[str, list[SliceHeader]] = defaultdict(list)
        for header in slices:
            parts[header.order[index]].append(header)
        found = [np.diff([s.depth for s in part]) for part in parts.values()]
        if len(parts) > 1 and all(
            d.size and np.abs(d - told[0]).max() <= SPACING_TOLERANCE * told[0] for d in found
        ):
            return list(parts.values())
    return [slices]


def _interleave(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """True where more than half of one part, and two slices at least, lie in the range of the other.

    Args:
        a: sorted positions along the normal in mm.
        b: those of the other part.
    """
    if len(a) < 2 or len(b) < 2 or a[0] > b[-1] or b[0] > a[-1]:
        return False
    for part, other in ((a, b), (b, a)):
        inside = int(((part >= other[0] - 1e-3) & (part <= other[-1] + 1e-3)).sum())
        if inside > max(1.0, len(part) / 2):
            return True
    return False


def _even(depths: NDArray[np.float64]) -> bool:
    """True where all steps agree within 1 %."""
    steps = np.diff(depths)
    return bool(steps.size == 0 or np.ptp(steps) <= SPACING_TOLERANCE * np.median(steps))
