"""The plugin's NIfTI files, as nibabel reads them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from MediDiffDenoiseLib import nifti

SHEARED = np.array(
    [[-0.8, 0.0, 0.0, 191.0], [0.0, -0.7, -1.5, 167.2], [0.1, 0.0, 5.0, -276.44], [0, 0, 0, 1]]
)


@pytest.mark.parametrize("kind", [*nifti.CODES, ">i2"])
def test_voxels_and_grid_are_kept(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    voxels = rng.integers(0, 120, (4, 3, 5)).astype(kind)[:, ::-1]  # not contiguous
    nifti.write(tmp_path / "a.nii", voxels, SHEARED)
    image = nibabel.load(tmp_path / "a.nii")
    assert np.array_equal(np.asanyarray(image.dataobj), voxels.T)
    assert image.get_data_dtype() == np.dtype(kind).newbyteorder("<")
    affine, code = image.get_sform(coded=True)
    assert affine == pytest.approx(SHEARED, rel=1e-6)
    assert (code, image.get_qform(coded=True)[1]) == (1, 0)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_zooms() == pytest.approx(np.linalg.norm(SHEARED[:3, :3], axis=0), rel=1e-6)


@pytest.mark.parametrize("voxels", [np.zeros((2, 2, 2), bool), np.zeros((1, 1, 40000), np.int16)])
def test_what_it_cannot_keep_is_refused(voxels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NIfTI cannot keep"):
        nifti.write(tmp_path / "a.nii", voxels, SHEARED)
    assert not (tmp_path / "a.nii").exists()
