"""Node: a value of the report that knows where in report.json it stands.

The templates see the document through nodes, so that every number on the page carries the JSON pointer
(RFC 6901) of the very value that it shows: a test reads both back and compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Node:
    """A value and its place; children are reached as attributes or items, and are nodes too.

    Args:
        value: plain JSON: mapping, list, text, number, bool or None.
        pointer: place of the value in the document; "" for the document itself.
    """

    __slots__ = ("_pointer", "_value")

    def __init__(self, value: Any, pointer: str = "") -> None:
        self._value = value
        self._pointer = pointer

    def __getitem__(self, key: str | int) -> Node:
        child = self._value[key]
        return Node(child, f"{self._pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")

    def __getattr__(self, name: str) -> Node:
        if name.startswith("_") or not isinstance(self._value, dict) or name not in self._value:
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[Any]:
        """Nodes of a list, keys of a mapping."""
        if isinstance(self._value, dict):
            return iter(self._value)
        return (self[k] for k in range(len(self._value)))

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return bool(self._value == (other._value if isinstance(other, Node) else other))

    def __hash__(self) -> int:
        return hash(self._pointer)

    def __str__(self) -> str:
        return str(self._value)


def plain(value: Any) -> Any:
    """The JSON value of a node; anything else as it is."""
    return value._value if isinstance(value, Node) else value


def pointer(node: Node) -> str:
    """Where in report.json the value stands."""
    return node._pointer


def look_up(document: Any, at: str) -> Any:
    """The value at a JSON pointer.

    Raises:
        KeyError: there is nothing.
    """
    value = document
    for part in at.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value
