"""NIfTI: voxels on a sheared grid as a file. Needs numpy.

A tilted gantry gives such a grid. NRRD files of it are not taken by medidiff, whose reader would lose the
shear, and Slicer's storage nodes write no NIfTI of it; the sform of a NIfTI file is any affine matrix.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

HEADER = 348
"""Bytes of the header; 4 more say that no extension follows."""

CODES = {
    "u1": 2,
    "i2": 4,
    "i4": 8,
    "f4": 16,
    "f8": 64,
    "i1": 256,
    "u2": 512,
    "u4": 768,
    "i8": 1024,
    "u8": 1280,
}
"""Kind and bytes of a voxel to the datatype of nifti1.h."""

MM, SCANNER = 2, 1
"""Codes of nifti1.h: millimetres; coordinates of the scanner."""


def write(path: Path, voxels: np.ndarray, ijk_to_ras: np.ndarray) -> None:
    """Writes a NIfTI-1 file with an sform alone, uncompressed, little-endian.

    Args:
        path: of the file, with the ending ``.nii``.
        voxels: ``[k, j, i]``.
        ijk_to_ras: ``[4, 4]``, millimetres; kept as float32.

    Raises:
        ValueError: NIfTI has no such voxels, or not so many along an axis.
        OSError: it cannot be written.
    """
    kind = f"{voxels.dtype.kind}{voxels.dtype.itemsize}"
    if voxels.ndim != 3 or max(voxels.shape) > np.iinfo(np.int16).max or kind not in CODES:
        raise ValueError(f"NIfTI cannot keep {voxels.dtype} of shape {voxels.shape}.")
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    header = bytearray(HEADER + 4)
    struct.pack_into("<i", header, 0, HEADER)
    struct.pack_into("<8h", header, 40, 3, *voxels.shape[::-1], 1, 1, 1, 1)  # dim
    struct.pack_into("<2h", header, 70, CODES[kind], 8 * voxels.dtype.itemsize)  # datatype, bitpix
    struct.pack_into("<8f", header, 76, 1.0, *spacing, 1.0, 1.0, 1.0, 1.0)  # pixdim
    struct.pack_into("<3f", header, 108, HEADER + 4, 1.0, 0.0)  # vox_offset, scl_slope, scl_inter
    header[123] = MM  # xyzt_units
    struct.pack_into("<2h", header, 252, 0, SCANNER)  # qform_code, sform_code
    struct.pack_into("<12f", header, 280, *ijk_to_ras[:3].ravel())  # srow_x, srow_y, srow_z
    header[344:348] = b"n+1\0"
    with path.open("wb") as file:
        file.write(header)
        file.write(np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<")).data)
