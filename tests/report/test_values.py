"""Nodes, numbers and words: what the page shows is what report.json says."""

from __future__ import annotations

import pytest

from medidiff.report.node import Node, look_up, plain, pointer
from medidiff.report.wording import count, duration, figure, moment, number, sentence

DOCUMENT = {"series": [{"a/b": {"~": 1.25}, "name": "<b>"}, {"none": None}], "flag": True}


def test_a_node_knows_where_it_stands() -> None:
    node = Node(DOCUMENT).series[0]["a/b"]["~"]
    assert pointer(node) == "/series/0/a~1b/~0"  # RFC 6901, section 3
    assert look_up(DOCUMENT, pointer(node)) == plain(node) == 1.25
    assert [pointer(n) for n in Node(DOCUMENT).series] == ["/series/0", "/series/1"]
    assert not hasattr(Node(DOCUMENT), "absent")
    with pytest.raises(KeyError):
        look_up(DOCUMENT, "/series/0/absent")


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (25.0871, ".3g", "25.1"), (0.00012, ".3g", "0.00012"), (1234.6, ".3g", "1235"),
        (123456789.0, ".3g", "123456789"), (-0.4, "+.2f", "\u22120.40"), (0.4, "+.2f", "+0.40"),
        (-0.001, "+.2f", "+0.00"), (-0.001, ".2f", "0.00"),
        (7, "d", "7"), (None, ".2f", "\u2013"), (2.5e-9, ".3g", "2.5e\u22129"), (0.0, ".3g", "0"),
    ],
)  # fmt: skip
def test_numbers_read_well(value: float | None, spec: str, text: str) -> None:
    assert number(value, spec) == text


def test_a_figure_carries_its_value_and_its_place() -> None:
    html = str(figure(Node(DOCUMENT).series[0]["a/b"]["~"], ".1f"))
    assert html == '<data value="1.25" data-at="/series/0/a~1b/~0" data-spec=".1f">1.2</data>'
    assert "not available" in str(figure(Node(DOCUMENT).series[1]["none"]))


def test_words() -> None:
    assert duration(5.25) == "5.2\u00a0s"
    assert duration(600) == "10 min"
    assert duration(7260) == "2 h 1 min"
    assert moment("2025-03-04T05:06:07+00:00") == "4 March 2025, 05:06 UTC"
    assert count(1, "slice") == "1 slice"
    assert count(2, "series", "series") == "2 series"
    assert sentence(" is PET.") == "Is PET."
    assert sentence("") == ""
