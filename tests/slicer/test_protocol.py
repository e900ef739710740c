"""The worker's lines: whatever comes in whatever pieces, events are found and nothing breaks."""

from __future__ import annotations

import json

import pytest
from MediDiffDenoiseLib import protocol
from MediDiffDenoiseLib.protocol import Line, Splitter, from_exit, misfit, number, parse

TEXT = (
    b'@medidiff {"event": "hello", "protocol": 1}\nplain words\r\n'
    b'@medidiff {"event": "progress", "stage": "caf\xc3\xa9", "fraction": 0.5}\n'
)


def all_of(pieces: list[bytes], splitter: Splitter | None = None) -> list[Line]:
    splitter = splitter or Splitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.close()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_make_the_same_lines(size: int) -> None:
    """Also a piece that ends within a letter of two bytes."""
    lines = all_of([TEXT[n : n + size] for n in range(0, len(TEXT), size)])
    assert [line.event and line.event["event"] for line in lines] == ["hello", None, "progress"]
    assert lines[1].text == "plain words"
    assert lines[2].event == {"event": "progress", "stage": "café", "fraction": 0.5}


def test_a_last_line_without_an_end_counts() -> None:
    assert all_of([TEXT.rstrip(b"\n")])[-1].event is not None


@pytest.mark.parametrize(
    "raw",
    [b"@medidiff", b"@medidiff {", b"@medidiff []", b"@medidiff 3", b'@medidiff {"text": "no event"}',
     b'@medidiff {"event": 7}', b' @medidiff {"event": "hello"}', b"@medidiff " + b"[" * 100_000, b"\xff\xfe",
     b'@medidiff {"event": "a\xff"}', b""],
    ids=lambda raw: repr(raw[:24]),
)  # fmt: skip
def test_garbage_is_log(raw: bytes) -> None:
    (line,) = all_of([raw + b"\n"])
    assert line.event is None
    assert isinstance(line.text, str)


def test_unknown_events_and_fields_come_through() -> None:
    event = {"event": "tea", "milk": True}
    assert parse(protocol.PREFIX + json.dumps(event).encode()) == event


def test_stderr_has_no_events() -> None:
    lines = all_of([TEXT], Splitter(events=False))
    assert [line.event for line in lines] == [None] * 3
    assert not any(line.stdout for line in lines)


def test_a_line_without_end_fills_no_memory() -> None:
    splitter = Splitter()
    lines = [line for _ in range(40) for line in splitter.feed(b"x" * 100_000)]
    assert len(lines) == 1
    assert len(splitter._rest) <= protocol.LONGEST
    lines = splitter.feed(b"end of it\n" + TEXT)
    assert [line.event and line.event["event"] for line in lines] == ["hello", None, "progress"]


@pytest.mark.parametrize("value", [None, "3", True, float("nan"), float("inf"), [1]])
def test_a_number_is_a_finite_number(value: object) -> None:
    assert number({"x": value}, "x") is None
    assert number({"x": 0.5}, "x") == 0.5


def test_another_protocol_is_refused_with_both_versions() -> None:
    assert misfit("0.1.0", 1, "pip install -U medidiff") == ("", "")
    text, hint = misfit("0.0.1", 0, "pip install -U medidiff")
    assert "0.0.1" in text
    assert "protocol 0" in text
    assert "extension 1" in text
    assert "pip install -U medidiff" in hint
    assert "Extensions Manager" in misfit("9.0", 2, "x")[1]
    assert misfit("9.0", None, "x")[0]
    assert misfit("9.0", True, "x")[0]


def test_exit_codes_are_those_of_the_command_line() -> None:
    """The codes of the manual, and the words of the error events."""
    from medidiff.cli.events import CODES, PROTOCOL

    assert {status: from_exit(status)[0] for status in CODES} == CODES
    assert PROTOCOL == protocol.PROTOCOL


def test_a_killed_worker_is_probably_out_of_memory() -> None:
    for status in (-9, 137):
        assert "memory" in from_exit(status)[2]
    assert "signal 11" in from_exit(-11)[1]
    assert "status 77" in from_exit(77)[1]
