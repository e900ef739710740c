"""Inserts: faint, small, inside the body, and part of the truth of a training slice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ct_items import body, fill_cache, item
from toy import toy_config

from medidiff.training import inserts
from medidiff.training.ct_source import CTSource
from medidiff.training.inserts import _add_ellipse, draw_inserts

HU = np.rint(np.stack([body((96, 112))] * 3)).astype(np.int16)


def test_inserts_lie_in_the_body_and_keep_their_contrast() -> None:
    for seed in range(20):
        contrast = draw_inserts(HU, 0.7, np.random.default_rng(seed))
        assert contrast.shape == HU.shape
        assert np.abs(contrast[1]).max() > 0.5 * inserts.CONTRAST_HU[0]
        reach = int(inserts.DIAMETER_MM[1] / 0.7 / 2) + 6
        far = np.zeros(HU.shape[1:], bool)
        far[:1, :1] = True  # a corner of air further from the body than any insert is wide
        assert reach < 48
        assert not contrast[:, far].any()


def test_air_has_no_inserts() -> None:
    assert not draw_inserts(np.full_like(HU, -1000), 0.7, np.random.default_rng(0)).any()


def test_an_ellipse_has_the_area_of_its_axes() -> None:
    """Area pi a b against the sum over pixels of a plane of height 1."""
    for radius, aspect, angle in ((3.0, 1.0, 0.0), (6.5, 0.7, 0.4), (10.0, 0.6, 2.0)):
        plane = np.zeros((64, 64), np.float32)
        _add_ellipse(plane, 32, 32, radius, aspect, angle, 1.0, 1.0)
        np.testing.assert_allclose(plane.sum(), np.pi * radius**2 * aspect, rtol=0.05)
        assert plane.max() == 1.0


def test_an_ellipse_at_the_edge_is_cut_not_wrapped() -> None:
    plane = np.zeros((32, 32), np.float32)
    _add_ellipse(plane, 0, 31, 5.0, 1.0, 0.0, 1.0, 7.0)
    assert plane[0, 31] == 7.0
    assert not plane[8:, :].any()
    assert not plane[:, :24].any()


def test_state_and_target_hold_the_same_inserts(tmp_path: Path) -> None:
    """With one seed, the draw with inserts minus that without is the same picture in input and truth."""
    config = toy_config(tmp_path / "run")
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache")))
    fill_cache(config)
    source = CTSource(config)
    reference = source.references[0]
    extra = draw_inserts(reference.item.hu, 0.7, np.random.default_rng(5))
    marked = replace(reference, item=replace(reference.item, hu=reference.item.hu + extra))
    plain, with_inserts = (
        source.simulate(r, 40.0, reference.sigma, np.random.default_rng(3)) for r in (reference, marked)
    )
    tissue = reference.item.hu[1] > -500  # noise in air is clipped at -1024 HU
    expected = extra[1][tissue] / source.intensity.scale
    np.testing.assert_allclose((with_inserts.state - plain.state)[tissue], expected, atol=2e-5)
    np.testing.assert_allclose((with_inserts.target - plain.target)[tissue], expected, atol=2e-5)
    assert np.abs(expected).max() > 0.001


def test_only_training_slices_get_inserts(tmp_path: Path) -> None:
    config = toy_config(tmp_path / "run")
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache"), insert_share=1.0))
    for role in ("train", "val"):
        fill_cache(config, role)
    plain = replace(config, data=replace(config.data, insert_share=0.0))

    def drawn(settings: object, role: str) -> np.ndarray:
        return CTSource(settings, role).draw(np.random.default_rng(2)).target  # type: ignore[arg-type]

    np.testing.assert_array_equal(drawn(config, "val"), drawn(plain, "val"))
    assert (drawn(config, "train") != drawn(plain, "train")).any()


def test_a_neighbour_shows_no_wider_cut_than_the_centre() -> None:
    """A single insert off its middle is never wider than at its middle."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        contrast = draw_inserts(item(body((96, 112)), rng).hu, 0.7, rng)
        assert (np.abs(contrast[[0, 2]]).sum((1, 2)) <= 1.6 * np.abs(contrast[1]).sum() + 1e-6).all()
