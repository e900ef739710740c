"""Logs that cannot be written stop a run with one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medidiff.errors import OutputError
from medidiff.training.logbook import LINES, JsonLines, open_log


def test_lines_are_json(tmp_path: Path) -> None:
    log = open_log(tmp_path / "logs", "jax")
    log.scalars({"loss": 0.5}, 3)
    log.image("picture", np.zeros((1, 2, 2, 1), np.float32), 3)
    log.scalars({"loss": 0.25}, 4)
    lines = [json.loads(line) for line in (tmp_path / "logs" / LINES).read_text().splitlines()]
    assert lines == [{"step": 3, "loss": 0.5}, {"step": 4, "loss": 0.25}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    log = JsonLines(tmp_path)
    (tmp_path / LINES).symlink_to("/dev/full")
    with pytest.raises(OutputError, match=rf"{LINES}: The log cannot be written.*No space left.*--resume"):
        log.scalars({"loss": 0.5}, 3)


@pytest.mark.slow
def test_tensorboard_where_no_folder_can_be(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed (extra train)")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="The log cannot be written"):
        open_log(tmp_path / "file" / "logs", "tensorflow")
