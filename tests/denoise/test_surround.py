"""Where a scan shows no image: found, continued for the network, given back as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import Averaging, PixelWiener, bundle, ct_volume

from medidiff.denoise import Denoiser, Settings
from medidiff.denoise.surround import Surround, mirror
from medidiff.intensity import Intensity
from medidiff.models.bundle import Trained
from medidiff.volume import Volume


def test_the_mirror_image_of_a_half_plane_is_exact() -> None:
    outside = np.zeros((6, 12), bool)
    outside[:, 8:] = True
    rows, columns = mirror(outside)
    expected = np.zeros((6, 12), int)
    expected[:, 8:] = [7, 6, 5, 4]
    np.testing.assert_array_equal(columns, expected[outside])
    np.testing.assert_array_equal(rows, np.nonzero(outside)[0])


@pytest.mark.parametrize(("first", "last"), [(3, 7), (0, 5), (6, 6), (10, 15)])
def test_a_strip_goes_on_as_the_symmetric_padding_of_numpy(first: int, last: int) -> None:
    outside = np.ones((2, 16), bool)
    outside[:, first : last + 1] = False
    _, columns = mirror(outside)
    padded = np.pad(np.arange(first, last + 1), (first, 15 - last), mode="symmetric")
    np.testing.assert_array_equal(columns[: outside[0].sum()], padded[outside[0]])


def test_between_two_bodies_each_goes_on_to_the_middle() -> None:
    outside = np.ones((1, 12), bool)
    outside[0, :3] = outside[0, 9:] = False
    _, columns = mirror(outside)
    np.testing.assert_array_equal(columns, [2, 1, 0, 11, 10, 9])


def test_rows_without_image_show_the_rows_beside() -> None:
    outside = np.ones((5, 4), bool)
    outside[1:3, 1:3] = False
    rows, columns = mirror(outside)
    picture = np.empty((5, 4), object)
    for (y, x), r, c in zip(np.argwhere(outside), rows, columns, strict=True):
        picture[y, x] = (int(r), int(c))
    assert list(picture[0]) == [(1, 1), (1, 1), (1, 2), (1, 2)]
    assert list(picture[3]) == [(2, 1), (2, 1), (2, 2), (2, 2)]
    assert list(picture[4]) == [(1, 1), (1, 1), (1, 2), (1, 2)]


def test_no_mirror_image_comes_from_where_there_is_none(rng: np.random.Generator) -> None:
    outside = rng.random((40, 50)) < 0.7
    outside[20, 20] = False
    rows, columns = mirror(outside)
    assert not outside[rows, columns].any()


def test_the_network_sees_no_edge_of_padding() -> None:
    volume = ct_volume((1, 64, 64))
    volume.array[0, :, 40:] = -3024.0
    padding = volume.array == -3024.0
    engine = PixelWiener()
    model = bundle()
    result = Denoiser(model, engine).run(replace(volume, padding=padding), Settings(sigma=50.0))
    planes, _ = engine.calls[0]
    state = planes[0, 0] * np.hypot(0.1, 0.9) * 500 - 500
    np.testing.assert_allclose(state[:, :40], volume.array[0, :, :40], atol=0.01)
    np.testing.assert_allclose(state[:, 40:60], volume.array[0, :, 39:19:-1], atol=0.01)
    np.testing.assert_array_equal(result.volume.array[padding], -3024.0)


def test_masked_mr_is_seen_as_it_is_and_comes_back_with_its_mask(rng: np.random.Generator) -> None:
    """Training had such masks; and users make masks of `image > 0`."""
    signal = np.zeros((2, 80, 80))
    signal[:, 16:64, 16:64] = 300.0
    noisy = np.hypot(*(signal + 20 * rng.standard_normal((2, 2, 80, 80))))
    array = np.where(signal > 0, noisy, 0.0).astype(np.float32)
    volume = Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]), "MR", "a.u.")
    engine = PixelWiener(h=1.0)
    model = bundle("mr", trained=Trained((0.002, 0.2), (1.0, 2.0), (0.5, 2.0)))
    result = Denoiser(model, engine).run(volume, Settings(sigma=20.0, uncertainty=True))
    assert not engine.calls[0][0][0, 0][signal[0] == 0].any()
    np.testing.assert_array_equal(result.volume.array > 0, array > 0)
    assert result.uncertainty is not None
    assert not result.uncertainty[array == 0].any()
    assert result.uncertainty[array > 0].all()


def test_holes_of_a_mask_stay_holes(rng: np.random.Generator) -> None:
    """Users make masks of `image > 0`, also of a brain whose ventricles a mask left out."""
    signal = np.zeros((1, 80, 80))
    signal[:, 10:70, 10:70] = 300.0
    signal[:, 30:50, 30:40] = signal[:, 20:60, 55] = signal[0, 15, 15] = 0.0
    noisy = np.rint(np.hypot(*(signal + 20 * rng.standard_normal((2, 1, 80, 80)))))
    array = np.where(signal > 0, noisy, 0.0).astype(np.float32)
    volume = Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]), "MR", "a.u.")
    model = bundle("mr", trained=Trained((0.002, 0.2), (1.0, 2.0), (0.5, 2.0)))
    result = Denoiser(model, Averaging()).run(volume, Settings(sigma=20.0))
    np.testing.assert_array_equal(result.volume.array > 0, array > 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3000.0])
def test_what_is_no_number_or_no_hu_shows_no_image(value: float) -> None:
    volume = ct_volume((1, 48, 48))
    volume.array[0, 20:24, 20:24] = value
    found = Surround(volume, Intensity.ct()).of_slice(0)
    assert found is not None
    assert found.sum() == 16
    assert np.isfinite(Surround(volume, Intensity.ct()).continued(0, volume.array[0])).all()


def test_a_whole_scan_has_no_surround() -> None:
    volume = ct_volume((1, 48, 48))
    around = Surround(volume, Intensity.ct())
    assert around.of_slice(0) is None
    np.testing.assert_array_equal(around.continued(0, volume.array[0]), volume.array[0])
