"""Orientation: how a slice is turned for viewing, and the letters at its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Pixels = TypeVar("Pixels", bound=NDArray[Any])

NAMES = (("R", "L"), ("A", "P"), ("I", "S"))
"""Ends of the three LPS axes, the negative end first."""


@dataclass(frozen=True)
class Orientation:
    """Turns a stored slice into the usual view of its plane.

    Axial slices show the patient's left at the right and the back below; coronal ones left at the right and
    the feet below; sagittal ones the back at the right and the feet below.

    Attributes:
        transpose: rows and columns change places first.
        flip_rows: then upside down.
        flip_columns: then left and right change places.
        edges: letters at the top, right, bottom and left.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    edges: tuple[str, str, str, str] = ("", "", "", "")

    @classmethod
    def of(cls, affine: NDArray[np.float64]) -> Orientation:
        """The orientation of slices with that affine (voxel indices x, y, z to LPS mm)."""
        steps = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
        column_axis = int(np.argmax(np.abs(steps[:, 0])))
        row_axis = int(np.argmax(np.abs(steps[:, 1])))
        # Upright views run along L or P to the right, and along P or S up and down.
        transpose = column_axis > row_axis
        across, down = (steps[:, 1], steps[:, 0]) if transpose else (steps[:, 0], steps[:, 1])
        if transpose:
            column_axis, row_axis = row_axis, column_axis
        flip_columns = bool(across[column_axis] < 0)
        flip_rows = bool(down[row_axis] < 0) != (row_axis == 2)
        right, left = NAMES[column_axis][1], NAMES[column_axis][0]
        top, bottom = NAMES[row_axis] if row_axis != 2 else NAMES[row_axis][::-1]
        return cls(transpose, flip_rows, flip_columns, (top, right, bottom, left))

    def apply(self, image: Pixels) -> Pixels:
        """The slice ``[y, x]`` as it is shown."""
        turned: Any = image.T if self.transpose else image
        turned = turned[::-1] if self.flip_rows else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.flip_columns else turned)  # type: ignore[return-value]

    def pixel_mm(self, row_mm: float, column_mm: float) -> tuple[float, float]:
        """Distance of the shown rows and columns."""
        return (column_mm, row_mm) if self.transpose else (row_mm, column_mm)

    def square(self, row: int, column: int, side: int, rows: int, columns: int) -> list[int]:
        """Row, column and side of a square of stored pixels as it is shown.

        Args:
            row: its first row.
            column: its first column.
            side: its side, in pixels.
            rows: rows of the stored slice.
            columns: columns of the stored slice.
        """
        if self.transpose:
            row, column, rows, columns = column, row, columns, rows
        row = rows - row - side if self.flip_rows else row
        column = columns - column - side if self.flip_columns else column
        return [row, column, side]
