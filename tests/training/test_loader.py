"""Patches and batches: functions of seed and place in the run, so that a run can be taken up anywhere."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from toy import ToySource, toy_config

from medidiff.diffusion.precondition import Precondition
from medidiff.models.conditioning import Condition, vector
from medidiff.training.loader import batches, batches_per_chunk, make_chunk
from medidiff.training.patches import DROP_MAP, DROP_NEIGHBOUR, DROP_TEXTURE, SIGMA_JITTER, cut
from medidiff.training.samples import Samples, concatenate


def same(a: Samples, b: Samples) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Samples))


def test_a_chunk_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    first = make_chunk(config, ToySource(), 3)
    assert len(first) == batches_per_chunk(config) == 2
    assert all(len(b) == 8 for b in first)
    assert all(same(a, b) for a, b in zip(first, make_chunk(config, ToySource(), 3), strict=True))
    assert not same(first[0], make_chunk(config, ToySource(), 4)[0])
    assert not same(first[0], make_chunk(replace(config, seed=2), ToySource(), 3)[0])


@pytest.mark.parametrize("start", [0, 1, 2, 5])
def test_starting_later_equals_skipping(tmp_path: Path, start: int) -> None:
    config = toy_config(tmp_path)
    whole = list(islice(batches(config, 0, ToySource()), start + 3))
    late = list(islice(batches(config, start, ToySource()), 3))
    assert all(same(a, b) for a, b in zip(whole[start:], late, strict=True))


def test_patches_of_a_chunk_are_shuffled(tmp_path: Path) -> None:
    """A batch mixes slices: with four slices of four patches, no batch of eight holds just two slices."""

    chunk = make_chunk(toy_config(tmp_path), ToySource(), 0)
    assert min(len(np.unique(b.sigma)) for b in chunk) > 2
    assert len(np.unique(np.concatenate([b.sigma for b in chunk]))) == 4


def test_patches_keep_planes_state_and_target_together() -> None:
    """A patch is one box of the slice, turned alike in all its images; coefficients use the told sigma."""
    rng = np.random.default_rng(1)
    source = ToySource().draw(rng)
    ramp = np.arange(48 * 48, dtype=np.float32).reshape(48, 48)
    marked = replace(source, state=ramp, target=ramp + 0.5, excess=ramp + 0.25, weight=ramp + 0.125,
                     relative_sd=np.exp(ramp / 2304), previous=ramp + 2, following=ramp + 3)  # fmt: skip
    precondition = Precondition(0.5)
    samples = cut(marked, 32, 200, precondition, rng)
    assert samples.planes.shape == (200, 32, 32, 4)
    np.testing.assert_array_equal(samples.target, samples.state + 0.5)
    np.testing.assert_array_equal(samples.excess, samples.state + 0.25)
    np.testing.assert_array_equal(samples.weight, samples.state + 0.125)
    c_in = precondition.c_in(samples.sigma_told)[:, None, None]
    np.testing.assert_allclose(samples.planes[..., 0], c_in * samples.state, rtol=1e-5)
    spread = np.log(samples.sigma_told / samples.sigma)
    assert 0.5 * SIGMA_JITTER < np.abs(spread).max() <= SIGMA_JITTER + 1e-6

    before, after = (samples.planes[..., i].any(axis=(1, 2)) for i in (1, 2))
    assert (~before).mean() == pytest.approx(DROP_NEIGHBOUR, abs=0.09)
    assert (~after).mean() == pytest.approx(DROP_NEIGHBOUR, abs=0.09)
    offsets = (samples.planes[before, ..., 1] / c_in[before] - samples.state[before]).mean((1, 2))
    assert set(np.rint(offsets)) == {2.0, 3.0}  # previous and next are exchanged half of the time
    # The map: its logarithm with one common jitter a patch, or zeros.
    log = samples.planes[..., 3] - samples.state / 2304
    given = samples.planes[..., 3].any(axis=(1, 2))
    assert (~given).mean() == pytest.approx(DROP_MAP, abs=0.07)
    assert log[given].std(axis=(1, 2)).max() < 1e-3
    # Orientation: all eight positions of the square occur.
    corners = samples.state[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert len({tuple(np.argsort(c)) for c in corners}) == 8


def toy_patches(count: int) -> Samples:
    rng = np.random.default_rng(2)
    return cut(ToySource().draw(rng), 32, count, Precondition(0.5), rng)


def test_condition_tells_what_the_patch_has() -> None:
    samples = toy_patches(300)
    base = Condition(
        sigma=float(samples.sigma_told[0]), kernel=3.0, pixel_mm=0.7, modality="ct", neighbour_ratio=1.0
    )
    with_previous, unknown = vector(replace(base, previous=True)), vector(replace(base, kernel=None))
    plain = vector(base)
    (previous,), texture = np.flatnonzero(with_previous != plain), np.flatnonzero(unknown != plain)
    known = texture[-1]
    has = samples.planes[..., 1].any(axis=(1, 2))
    np.testing.assert_array_equal(samples.condition[:, previous], has)
    assert (samples.condition[:, known] == 0).mean() == pytest.approx(DROP_TEXTURE, abs=0.08)
    np.testing.assert_allclose(samples.condition[0, :9], plain[:9], rtol=1e-5)


def test_patches_prefer_places_worth_it() -> None:
    source = ToySource(size=96).draw(np.random.default_rng(2))
    worth = np.zeros((96, 96), bool)
    worth[:48, :48] = True
    ramp = np.where(worth, 1.0, 0.0).astype(np.float32)
    rng = np.random.default_rng(0)
    samples = cut(replace(source, worth=worth, target=ramp), 32, 120, Precondition(0.5), rng)
    assert (samples.target.mean((1, 2)) > 0.25).mean() > 0.85


def test_subsets_and_joins() -> None:
    samples = toy_patches(5)
    assert len(samples) == 5
    assert same(concatenate([samples.take(slice(0, 2)), samples.take(np.array([2, 3, 4]))]), samples)
    assert [a.dtype for a in samples.arrays()] == [np.float32] * len(fields(Samples))
