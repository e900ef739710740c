"""Orientations: the mean of the network's answers over turned and mirrored views of a slice.

A scan is as likely mirrored or turned by a right angle, and so the posterior mean does not depend on how
the slice lies. A network of finite training does, a little: averaging over the views takes that error away
(geometric self-ensemble, Lim et al. 2017, arXiv:1707.02921, section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medidiff.volume import FloatArray

Network = Callable[[FloatArray], FloatArray]

VIEWS = ((0, False), (2, False), (1, True), (3, True), (1, False), (3, False), (0, True), (2, True))
"""Quarter turns, and whether mirrored first, in an order in which the first 1, 2, 4 and 8 are groups."""


def averaged(network: Network, count: int) -> Network:
    """The network averaged over the first `count` views.

    Args:
        network: ``[1, c, h, w]`` to ``[1, 2, h, w]``, for any h and w that are multiples of its stride.
        count: 1, 2, 4 or 8.

    Returns:
        A function of the same shape; for 1 the network itself.
    """
    if count == 1:
        return network
    if count not in (2, 4, 8):
        raise ValueError(f"The views of a slice are 1, 2, 4 or 8. Received: {count}")

    def mean(planes: FloatArray) -> FloatArray:
        total: FloatArray | None = None
        for turns, mirrored in VIEWS[:count]:
            answer = _back(network(np.ascontiguousarray(_view(planes, turns, mirrored))), turns, mirrored)
            total = answer.copy() if total is None else total + answer
        assert total is not None
        return np.asarray(total / np.float32(count), np.float32)

    return mean


def _view(planes: FloatArray, turns: int, mirrored: bool) -> FloatArray:
    return np.rot90(planes[..., ::-1] if mirrored else planes, turns, (-2, -1))


def _back(planes: FloatArray, turns: int, mirrored: bool) -> FloatArray:
    upright = np.rot90(planes, -turns, (-2, -1))
    return upright[..., ::-1] if mirrored else upright
