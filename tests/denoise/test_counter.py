"""The counter of slices."""

from __future__ import annotations

from medidiff.denoise.counter import Counter


def test_it_tells_how_many_are_done_of_how_many() -> None:
    told: list[tuple[int, int]] = []
    tick = Counter(3, lambda *now: told.append(now))
    assert told == []
    for _ in range(3):
        tick()
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nobody_needs_to_listen() -> None:
    tick = Counter(2, None)
    tick()
    assert (tick.done, tick.total) == (1, 2)
