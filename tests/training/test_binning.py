"""Binning: means, checked against another implementation, and the noise that is left."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from medidiff.training.binning import SLAB, binned, may_be_binned, slab_means


def test_means_of_two_by_two_pixels_are_those_of_itk(rng: np.random.Generator) -> None:
    slices = rng.normal(100.0, 20.0, (3, 31, 46)).astype(np.float32)
    expected = sitk.GetArrayFromImage(sitk.BinShrink(sitk.GetImageFromArray(slices[:, :30]), [2, 2, 1]))
    made = binned(slices)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, rtol=1e-6)


def test_means_of_slabs_are_those_of_itk(rng: np.random.Generator) -> None:
    slices = rng.normal(100.0, 20.0, (11, 8, 9)).astype(np.float32)
    expected = sitk.GetArrayFromImage(sitk.BinShrink(sitk.GetImageFromArray(slices[:9]), [1, 1, SLAB]))
    np.testing.assert_allclose(slab_means(slices), expected, rtol=1e-6)


def test_white_noise_falls_by_the_root_of_the_pixels_averaged(rng: np.random.Generator) -> None:
    noise = rng.standard_normal((12, 128, 128)).astype(np.float32)
    assert binned(noise).std() == pytest.approx(0.5, rel=0.02)
    assert binned(slab_means(noise)).std() == pytest.approx(0.5 / SLAB**0.5, rel=0.02)


@pytest.mark.parametrize(("shape", "may"), [((1, 192, 400), True), ((9, 400, 191), False)])
def test_a_binned_slice_must_hold_a_patch(shape: tuple[int, ...], may: bool) -> None:
    assert may_be_binned(shape, 96) is may
