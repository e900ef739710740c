"""Tiles: a large slice through a strictly local network, piece by piece, with the very same result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medidiff.volume import FloatArray


@dataclass(frozen=True)
class Tile:
    """One piece: what goes in, what part of the answer counts, where it belongs (pixel slices)."""

    read: tuple[slice, slice]
    keep: tuple[slice, slice]
    write: tuple[slice, slice]


def pad_to_stride(planes: FloatArray, stride: int) -> FloatArray:
    """Planes ``[..., h, w]`` reflected at the lower and right edge up to multiples of the stride."""
    h, w = planes.shape[-2:]
    extra = (-h % stride, -w % stride)
    if extra == (0, 0):
        return planes
    widths = [(0, 0)] * (planes.ndim - 2) + [(0, extra[0]), (0, extra[1])]
    mode: Literal["reflect", "edge"] = "reflect" if h > extra[0] and w > extra[1] else "edge"
    return np.pad(planes, widths, mode=mode)


def tiles(h: int, w: int, size: int, halo: int, stride: int) -> Iterator[Tile]:
    """Tiles that cover ``[h, w]``, aligned to the stride, each with a halo inside the picture."""
    size = max(stride, size - size % stride)
    for top in range(0, h, size):
        for left in range(0, w, size):
            bottom, right = min(top + size, h), min(left + size, w)
            y0, x0 = max(0, top - halo), max(0, left - halo)
            y1, x1 = min(h, bottom + halo), min(w, right + halo)
            yield Tile(
                read=(slice(y0, y1), slice(x0, x1)),
                keep=(slice(top - y0, bottom - y0), slice(left - x0, right - x0)),
                write=(slice(top, bottom), slice(left, right)),
            )


def run_tiled(
    network: Callable[[FloatArray], FloatArray], planes: FloatArray, size: int, halo: int, stride: int
) -> FloatArray:
    """Applies a local network to planes of any size.

    Args:
        network: ``[1, c, h, w]`` to ``[1, 2, h, w]``, h and w multiples of the stride.
        planes: ``[c, h, w]``.
        size: largest tile side without halo, in pixels.
        halo: reach of the network in pixels.
        stride: alignment.

    Returns:
        float32 ``[2, h, w]``.
    """
    h, w = planes.shape[-2:]
    padded = pad_to_stride(planes, stride)
    if max(h, w) <= size:
        return network(padded[None])[0, :, :h, :w]
    out = np.empty((2, *padded.shape[-2:]), np.float32)
    for tile in tiles(padded.shape[-2], padded.shape[-1], size, halo, stride):
        answer = network(np.ascontiguousarray(padded[(slice(None), *tile.read)])[None])[0]
        out[(slice(None), *tile.write)] = answer[(slice(None), *tile.keep)]
    return out[:, :h, :w]
