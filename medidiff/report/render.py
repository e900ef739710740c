"""Render: a template with the style, the script and the filters that all pages share."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

from medidiff.report.node import Node, plain
from medidiff.report.wording import count, duration, figure, moment, sentence


def render(template: str, report: Node, **values: Any) -> str:
    """A page.

    Args:
        template: its file.
        report: content of report.json, as a node.
        values: what else the template uses.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("medidiff.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        figure=figure,
        moment=lambda node: moment(str(node)),
        duration=lambda node: duration(plain(node)),
        sentence=lambda text: sentence(str(text)),
        more=lambda node: count(plain(node) - 1, "more", "more"),
        by_protocol=_by_protocol,
    )
    source = environment.loader.get_source  # type: ignore[union-attr]
    style, script = (source(environment, name)[0] for name in ("style.css", "script.js"))
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        report=report,
        style=Markup(style),
        script=Markup(script),
        script_hash=Markup(f"'sha256-{digest}'"),
        **values,
    )


def _by_protocol(measures: Any) -> list[tuple[str, list[str]]]:
    """Protocols with the titles of the measures that they hold for."""
    found: dict[str, list[str]] = {}
    for m in measures:
        titles = found.setdefault(str(m.protocol), [])
        if str(m.title) not in titles:
            titles.append(str(m.title))
    return list(found.items())
