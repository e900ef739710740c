"""Rows: a run that was stopped goes on, and never mixes with another run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench_toys import rows_of
from quality.rows import Rows

HEADER = {"model": "ct 0.1", "slices": 2}


def test_finished_rows_are_found_again(tmp_path: Path) -> None:
    first = Rows.open(tmp_path / "runs" / "rows.jsonl", HEADER)
    rows = rows_of("TV", 30.0, patients=1, levels=("10%",))
    for row in rows:
        first.add(row)
    first.add_cost("TV", 123.0)
    again = Rows.open(first.path, HEADER)
    assert again.rows == rows
    assert again.costs == {"TV": 123.0}
    assert again.pending(rows[0].case, [("TV", "told"), ("NLM", "told")]) == ["NLM"]
    assert again.pending("another case", [("TV", "told")]) == ["TV"]


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    store = Rows.open(path, HEADER)
    one, two = rows_of("TV", 30.0, patients=1, levels=("10%",))
    store.add(one)
    store.add(two)
    path.write_text(path.read_text()[:-20])
    again = Rows.open(path, HEADER)
    assert again.rows == [one]
    again.add(two)
    assert Rows.open(path, HEADER).rows == [one, two]


def test_damage_inside_the_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"header": HEADER}) + "\n{broken\n{}\n")
    with pytest.raises(ValueError, match="line 2 is damaged"):
        Rows.open(path, HEADER)


def test_rows_of_another_run_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Rows.open(path, HEADER).add(rows_of("TV", 30.0)[0])
    with pytest.raises(ValueError, match="another run"):
        Rows.open(path, {**HEADER, "slices": 3})
    assert Rows.open(path, {**HEADER, "slices": 3}, fresh=True).rows == []


def test_a_method_that_was_told_something_else_is_run_again(tmp_path: Path) -> None:
    store = Rows.open(tmp_path / "rows.jsonl", HEADER)
    old = rows_of("DnCNN", 30.0)[0]
    store.add(old)
    assert store.pending(old.case, [("DnCNN", "more steps")]) == ["DnCNN"]
    new = replace(old, given="more steps", figures={"psnr": 31.0})
    store.add(new)
    assert store.rows == [new]
    assert Rows.open(store.path, HEADER).latest() == [new]
