"""The bank holds the slices of a source as they are, with a padding that no sample can use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ct_items import body, fill_cache, item
from toy import toy_config

from medidiff.training.ct_source import CTSource
from medidiff.volume import HU_RANGE

pytest.importorskip("jax", reason="jax is not installed")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CTSource:
    """Slices of 96 by 112 and, clean, one of 60 by 120."""
    config = toy_config(tmp_path_factory.mktemp("run"))
    config = replace(config, data=replace(config.data, cache=str(tmp_path_factory.mktemp("cache"))))
    folder: Path = fill_cache(config)
    small = item(body((60, 120)), np.random.default_rng(2), clean=True, present=False)
    np.savez(folder / "toy_small.npz", **vars(small))
    return CTSource(config)


def test_slices_of_all_sizes_are_padded_to_one(source: CTSource) -> None:
    from medidiff.training.device_ct_bank import Bank

    bank = Bank.of(source)
    assert bank.hu.shape == (5, 3, 96, 128)
    assert sorted(np.asarray(bank.width)) == [112, 112, 112, 112, 120]
    k = int(np.argmax(bank.width))
    hu = np.asarray(bank.hu[k])
    (small,) = (r.item for r in source.clean if r.item.hu.shape == (3, 60, 120))
    np.testing.assert_array_equal(hu[:, :60, :120], small.hu)
    for outside in (hu[:, 60:], hu[:, :, 120:]):
        assert (outside == HU_RANGE[0]).all()
    assert not np.asarray(bank.soft[k])[60:].any()  # the noise level is defined elsewhere
    assert np.asarray(bank.relative).min() > 0  # and can be divided by everywhere
    assert (np.asarray(bank.present[k]) == [False, True, False]).all()


def test_each_pool_is_drawn_with_its_own_probabilities(source: CTSource) -> None:
    from medidiff.training.device_ct_bank import Bank

    bank = Bank.of(source)
    noisy = len(source.references)
    np.testing.assert_allclose(bank.reference[:noisy], source.share, rtol=1e-6)
    assert float(bank.reference[noisy:].sum()) == 0.0
    assert float(bank.clean.sum()) == pytest.approx(1.0)
    assert int((bank.clean > 0).sum()) == len(source.clean)


def test_patches_and_inserts_lie_in_their_slice(source: CTSource) -> None:
    from medidiff.training.device_ct_bank import Bank

    bank, patch = Bank.of(source), source.config.data.patch
    for k in range(len(bank.width)):
        rows = 60 if int(bank.width[k]) == 120 else 96
        assert (np.asarray(bank.places[k]) + patch <= [rows, int(bank.width[k])]).all()
        y, x = np.asarray(bank.spots[k]).T
        assert np.median(np.asarray(bank.hu[k, 1])[y, x]) == pytest.approx(40, abs=15)


def test_a_slice_of_air_shows_no_insert(source: CTSource) -> None:
    from medidiff.training.device_ct_bank import _spots

    spots = _spots(np.full((32, 32), -1000, np.int16), np.random.default_rng(0))
    assert spots.min() > 32
