"""Types of option values: what the user typed becomes a number, a path or a tuple, or one clear sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # takes no type argument in older releases of click


class OutputType(click.Path):
    """Where outputs go. An empty text is no folder: it is a variable of a script that was never set."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A Path."""
        if value == "":
            self.fail("It is empty. Name a place; . is the current folder.", param, ctx)
        return super().convert(value, param, ctx)


class SigmaType(ParamType):
    """A noise level: ``auto`` (None), a positive number, or the path of a noise map."""

    name = "auto|VALUE|MAP"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """None, a float or a Path."""
        if value is None or not isinstance(value, str):
            return value
        if value == "auto":
            return None
        try:
            number = float(value)
        except ValueError:
            if value and Path(value).exists():
                return Path(value)
            self.fail(
                f"The noise level is auto, a positive number, or an image with the noise SD of every voxel. "
                f"Received: {value}.", param, ctx,
            )  # fmt: skip
        if not (math.isfinite(number) and number > 0):
            self.fail(f"The noise level must be a positive number. Received: {value}.", param, ctx)
        return number


class KernelType(ParamType):
    """A reconstruction kernel: ``soft``, ``sharp``, or the frequency of half response in lp/cm."""

    name = "soft|sharp|F50"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word, or a float."""
        if value in ("soft", "sharp") or not isinstance(value, str):
            return value
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not (math.isfinite(number) and number > 0):
            self.fail(f"A kernel is soft, sharp, or a frequency in lp/cm. Received: {value}.", param, ctx)
        return number


class LevelType(ParamType):
    """A noise SD to insert: a positive number, or for MR a percentage."""

    name = "VALUE[%]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """``(number, is a percentage)``."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        try:
            number = float(text.removesuffix("%"))
        except ValueError:
            number = 0.0
        if not (math.isfinite(number) and number > 0):
            self.fail(f"A noise SD is a positive number, or as 6% for MR. Received: {value}.", param, ctx)
        return number, text.endswith("%")


class SlicesType(ParamType):
    """Slices counted from 1: ``12,40``."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A tuple of numbers."""
        if not isinstance(value, str):
            return value
        numbers = _whole_numbers(value)
        if numbers is None or not all(numbers):
            self.fail(f"Slices are numbers from 1 with commas between. Received: {value}.", param, ctx)
        return numbers


class RoiType(ParamType):
    """Voxel bounds: ``i0,i1,j0,j1,k0,k1``, half open."""

    name = "I0,I1,J0,J1,K0,K1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A tuple of six numbers."""
        if not isinstance(value, str):
            return value
        numbers = _whole_numbers(value)
        if numbers is None or len(numbers) != 6:
            self.fail(
                f"A region is i0,i1,j0,j1,k0,k1: the first voxel along each axis of the file and the one "
                f"after the last, counted from 0. Received: {value}.", param, ctx,
            )  # fmt: skip
        return numbers


class SizeType(ParamType):
    """Height and width in pixels: ``512,512``."""

    name = "H,W"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """``(height, width)``."""
        if not isinstance(value, str):
            return value
        numbers = _whole_numbers(value)
        if numbers is None or len(numbers) != 2 or not all(numbers):
            self.fail(f"A size is height and width in pixels, as 512,512. Received: {value}.", param, ctx)
        return numbers


class TestType(ParamType):
    """A scan to judge, with a name for tables: ``NAME=PATH``, or the path alone."""

    name = "[NAME=]PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """``(name or None, path)``."""
        if not isinstance(value, str):
            return value
        if Path(value).exists():
            return None, Path(value)
        name, equals, path = value.partition("=")
        if name and equals and path and Path(path).exists():
            return name, Path(path)
        if equals and not name:
            self.fail(f"The name before = is missing. Received: {value}.", param, ctx)
        self.fail(f"Path '{path or value}' does not exist.", param, ctx)


def _whole_numbers(value: str) -> tuple[int, ...] | None:
    """Numbers with commas between; None where it is something else."""
    parts = value.replace(" ", "").split(",")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else None
