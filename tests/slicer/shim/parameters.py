"""``slicer.parameterNodeWrapper``: a class of typed values stored in a parameter node."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import slicer
import vtk

from shim import connectors
from shim.annotations import ANNOTATIONS, Choice, Default, Minimum, Validator, WithinRange

PLAIN = (str, int, float, bool, Path)


class Member:
    """A value of the class: how it is checked and written."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        base, *extras = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
        self.name, self.type, self.extras = name, base, extras
        self.is_node = isinstance(base, type) and issubclass(base, vtk.vtkObject)
        if not self.is_node and base not in PLAIN:
            raise ValueError(f"{name}: a parameter node cannot hold {base!r}")
        self.default = self._default(default)
        self.check(self.default)

    def extra(self, kind: type) -> Any:
        """The annotation of a kind, or None."""
        return next((e for e in self.extras if isinstance(e, kind)), None)

    def _default(self, default: Any) -> Any:
        if default is not None or self.is_node:
            return default
        if self.extra(Default):
            return self.extra(Default).value
        if self.extra(Choice):
            return self.extra(Choice).choices[0]
        bounded = self.extra(WithinRange) or self.extra(Minimum)
        return self.type(bounded.minimum) if bounded else self.type()

    def check(self, value: Any) -> None:
        """Refuses what the annotations refuse."""
        if self.is_node:
            if value is not None and not isinstance(value, self.type):
                raise ValueError(f"{self.name}: {value!r} is no {self.type.__name__}")
            return
        wanted = (int, float) if self.type is float else self.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.type is not bool):
            raise ValueError(f"{self.name}: {value!r} is no {self.type.__name__}")
        for extra in self.extras:
            if isinstance(extra, Validator):
                extra.validate(value)

    def write(self, node: Any, value: Any) -> None:
        """Stores a value."""
        self.check(value)
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(self.type(value)))

    def read(self, node: Any) -> Any:
        """The stored value."""
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.type is bool else self.type(text)

    def stored(self, node: Any) -> bool:
        """Whether the node holds it."""
        return self.is_node or bool(node.HasParameter(self.name))


def _accessor(member: Member) -> property:
    return property(
        lambda self: member.read(self.parameterNode),
        lambda self, value: member.write(self.parameterNode, value),
    )


def parameterNodeWrapper(cls: type) -> type:
    """Turns a class of annotations into a view of a parameter node; defaults are written on wrapping."""
    hints = typing.get_type_hints(cls, include_extras=True)
    members = {name: Member(name, hint, vars(cls).get(name)) for name, hint in hints.items()}

    def init(self: Any, parameterNode: Any) -> None:
        self.parameterNode, self._links = parameterNode, {}
        for member in members.values():
            if not member.stored(parameterNode):
                member.write(parameterNode, member.default)

    body: dict[str, Any] = {name: _accessor(member) for name, member in members.items()}
    body.update(
        __init__=init, __doc__=cls.__doc__, members=members, connectGui=_connect_gui,
        connectParametersToGui=_connect, disconnectGui=_disconnect, AddObserver=_observe,
        RemoveObserver=lambda self, tag: self.parameterNode.RemoveObserver(tag),
    )  # fmt: skip
    return type(cls.__name__, (), {"__module__": cls.__module__, **body})


def _observe(self: Any, event: Any, callback: Callable[..., Any]) -> int:
    return int(self.parameterNode.AddObserver(event, callback))


def _connect_gui(self: Any, gui: Any) -> None:
    """Binds every widget that names a parameter in its property SlicerParameterName.

    Tells no tag, like Slicer's own (Slicer#7547): such a binding cannot be undone.
    """
    found = {}
    for widget in vars(gui).values():
        name = widget.property("SlicerParameterName")
        if name:
            found[name] = widget
    self.connectParametersToGui(found)


def _connect(self: Any, widgets: dict[str, Any]) -> int:
    """Binds widgets by the name of their parameter."""
    links = []
    for name, widget in widgets.items():
        if name not in self.members:
            raise RuntimeError(f"There is no parameter {name}")
        links.append(connectors.make(widget, self.members[name], self.parameterNode))
    tag = max(self._links, default=0) + 1
    observer = self.parameterNode.AddObserver(
        vtk.vtkCommand.ModifiedEvent, lambda *_: [x.show() for x in links]
    )
    self._links[tag] = links, observer
    for link in links:
        link.show()
    return tag


def _disconnect(self: Any, tag: int | None) -> None:
    """Undoes a binding; an unknown tag is ignored."""
    if tag not in self._links:
        return
    links, observer = self._links.pop(tag)
    self.parameterNode.RemoveObserver(observer)
    for link in links:
        link.release()


def install() -> None:
    """Makes ``slicer.parameterNodeWrapper`` importable."""
    module: Any = types.ModuleType("slicer.parameterNodeWrapper")
    names = {"parameterNodeWrapper": parameterNodeWrapper, **ANNOTATIONS}
    vars(module).update(names, __all__=list(names))
    sys.modules[module.__name__] = module
    slicer.parameterNodeWrapper = module
