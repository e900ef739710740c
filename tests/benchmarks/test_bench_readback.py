"""Images and volumes that a tool has written come back with their values and places."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from readers import frames, scan
from readers.readback import nifti_volumes, planes_of


@pytest.fixture
def images() -> list[scan.Image]:
    """Three slices of the synthetic series, 40 x 32."""
    found = scan.load(None)[0][:3]
    for image in found:
        image.stored = np.ascontiguousarray(image.stored[120:160, 150:182])
    return found


def test_classic_and_enhanced_images_are_read_alike(images: list[scan.Image], tmp_path: Path) -> None:
    scan.save(images, tmp_path / "classic")
    scan.save(frames.enhanced_slopes(scan.copy(images)), tmp_path / "enhanced")
    for image in images:
        ((values, affine),) = planes_of(pydicom.dcmread(tmp_path / "classic" / image.file))
        np.testing.assert_array_equal(values, image.values)
        np.testing.assert_allclose(affine, image.affine)
    sloped = frames.slopes(scan.copy(images))
    found = planes_of(pydicom.dcmread(tmp_path / "enhanced" / "enhanced.dcm"))
    for (values, affine), image in zip(found, sloped, strict=True):
        np.testing.assert_allclose(values, image.values)
        np.testing.assert_allclose(affine, image.affine)


def test_nifti_of_several_volumes_lies_in_lps(tmp_path: Path) -> None:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = 10.0, 20.0, 30.0
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 2, 2)
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "two.nii")
    found = list(nifti_volumes(tmp_path / "two.nii"))
    assert [label for *_, label in found] == ["two", "two"]
    for t, (one, (lps,), _) in enumerate(found):
        np.testing.assert_array_equal(one, values[..., t])
        np.testing.assert_allclose(lps @ [1, 1, 1, 1], [-12.0, -23.0, 34.0, 1.0])


def test_colour_of_nifti_is_a_last_axis(tmp_path: Path) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    values = np.zeros((2, 3, 4), kind)
    values["G"] = 7
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "rgb.nii")
    ((found, _, _),) = nifti_volumes(tmp_path / "rgb.nii")
    assert found.shape == (2, 3, 4, 3)
    assert set(found[..., 1].ravel()) == {7}
