"""What may stand in ``Annotated[...]`` of a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Validator:
    """Refuses values with ValueError."""

    def validate(self, value: Any) -> None:
        """Raises where the value is not allowed."""
        raise NotImplementedError


class Choice(Validator):
    """One of a list; the first is the default."""

    def __init__(self, choices: Sequence[Any]) -> None:
        self.choices = list(choices)

    def validate(self, value: Any) -> None:
        """Raises for what is not in the list."""
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


class WithinRange(Validator):
    """Between two bounds, both included."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: Any) -> None:
        """Raises outside."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value!r} is not within {self.minimum} and {self.maximum}")


class Minimum(Validator):
    """At least."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        """Raises below."""
        if value < self.minimum:
            raise ValueError(f"{value!r} is below {self.minimum}")


class Default:
    """The first value."""

    def __init__(self, value: Any) -> None:
        self.value = value


ANNOTATIONS = {cls.__name__: cls for cls in (Choice, WithinRange, Minimum, Default)}
