"""Standard output that is closed, full, gone or of a narrow encoding: the work is done all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_scans import mr_nifti, tree

FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


def shell(
    line: str, environment: dict[str, str], folder: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command line in bash, where ``medidiff`` is this one."""
    line = f'medidiff() {{ "{sys.executable}" -m medidiff "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", line], env={**environment, **more}, cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two scans; the name of the first has letters that cp1252 lacks."""
    for name in ("a_脑_T1w", "b_T1w"):
        mr_nifti(tmp_path / "in" / f"{name}.nii.gz")
    return tmp_path


def statuses(folder: Path) -> list[str]:
    return [s["status"] for s in json.loads((folder / "report.json").read_text())["series"]]


DENOISE = "medidiff denoise in -o out --sigma 20"


def test_letters_that_the_encoding_lacks_become_escapes(scans: Path, environment: dict[str, str]) -> None:
    done = shell(DENOISE, environment, scans, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    names = [Path(line).name for line in done.stdout.splitlines()]
    assert names == [r"a_\u8111_T1w_desc-denoised.nii.gz", "b_T1w_desc-denoised.nii.gz"]
    assert statuses(scans / "out") == ["denoised", "denoised"]


def test_a_choice_of_error_handler_stands(scans: Path, environment: dict[str, str]) -> None:
    done = shell(f"{DENOISE} --dry-run", environment, scans, PYTHONIOENCODING="cp1252:replace")
    assert done.stdout.splitlines()[0].endswith("a_?_T1w_desc-denoised.nii.gz")


@needs_full
@pytest.mark.parametrize("extra", ["", " --progress jsonl"])
def test_a_full_stdout_costs_neither_images_nor_report(
    scans: Path, environment: dict[str, str], extra: str
) -> None:
    done = shell(f"{DENOISE}{extra} > {FULL}", environment, scans)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("medidiff: error: Standard output cannot be written: No space left")
    assert "Traceback" not in done.stderr
    assert statuses(scans / "out") == ["denoised", "denoised"]
    assert len([name for name in tree(scans / "out") if name.endswith(".nii.gz")]) == 2


@needs_full
def test_a_full_stderr_changes_nothing(scans: Path, environment: dict[str, str]) -> None:
    assert shell(f"{DENOISE} 2> {FULL}", environment, scans).returncode == 0
    assert statuses(scans / "out") == ["denoised", "denoised"]
    assert shell(f"medidiff nonsense 2> {FULL}", environment, scans).returncode == 2


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure(scans: Path, environment: dict[str, str], closed: str) -> None:
    done = shell(f"{DENOISE} {closed}", environment, scans)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert statuses(scans / "out") == ["denoised", "denoised"]


def test_a_reader_that_goes_away_costs_nothing_else(scans: Path, environment: dict[str, str]) -> None:
    done = shell(f"{DENOISE} | true; exit ${{PIPESTATUS[0]}}", environment, scans)
    assert done.returncode == 1
    assert "error" not in done.stderr
    assert statuses(scans / "out") == ["denoised", "denoised"]


def test_a_program_that_goes_away_ends_its_run(scans: Path, environment: dict[str, str]) -> None:
    line = f"{DENOISE} --progress jsonl < /dev/null | true; exit ${{PIPESTATUS[0]}}"
    done = shell(line, environment, scans)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (scans / "out").exists()
