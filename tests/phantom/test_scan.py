"""Scans have the noise that was asked for, and no two share any."""

from __future__ import annotations

import numpy as np
import pytest

from medidiff.errors import CancelledError, UsageError
from medidiff.phantom import Design, Exposure, Scans, as_volume, scan

DESIGN = Design(realisations=2, depth=3)
EXPOSURE = Exposure(15.0, (1.0, 0.25))


@pytest.fixture(scope="module")
def scans() -> Scans:
    return scan(DESIGN, EXPOSURE)


def test_noise_goes_with_one_over_root_dose(scans: Scans) -> None:
    sd = [float((n.astype(int) - scans.truth)[:, DESIGN.body].std()) for n in scans.noisy]
    assert sd[0] == pytest.approx(15.0, rel=0.03)
    assert sd[1] == pytest.approx(30.0, rel=0.04)
    assert scans.photons[1] == pytest.approx(0.25 * scans.photons[0])


def test_slices_and_doses_have_noise_of_their_own(scans: Scans) -> None:
    noise = np.concatenate([n.astype(int) - scans.truth for n in scans.noisy])[:, DESIGN.body]
    together = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(together).max() < 0.05


def test_the_seed_decides(scans: Scans) -> None:
    one = Design(realisations=1, depth=1)
    again, other = (scan(d, Exposure(15.0, (0.5,))) for d in (one, Design("uniform", 1, 1, seed=9)))
    assert not np.array_equal(again.noisy[0], other.noisy[0])
    assert np.array_equal(again.noisy[0], scan(one, Exposure(15.0, (0.5,))).noisy[0])


def test_a_volume_of_it_knows_its_neighbours(scans: Scans) -> None:
    volume = as_volume(scans.noisy[0], DESIGN)
    assert volume.modality == "CT"
    assert volume.adjacent is not None
    assert volume.adjacent.tolist() == [True, True, False, True, True]
    assert volume.spacing == pytest.approx((3.0, 0.7, 0.7))


def test_cancelling_stops_it() -> None:
    done: list[int] = []
    with pytest.raises(CancelledError):
        scan(
            Design(realisations=9, depth=1), Exposure(15.0, (1.0,)),
            lambda k, _: done.append(k), lambda: len(done) == 1,
        )  # fmt: skip
    assert done == [1]


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0.0}, {"doses": ()}, {"doses": (1.5,)}, {"doses": (0.5, 0.5)}, {"sigma": np.nan}]
)
def test_an_exposure_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(UsageError):
        Exposure(**wrong)
