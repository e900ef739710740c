"""Batch: the account of a run and its exit code, the report file, what is taken as what."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from medidiff.batch import (
    Account,
    Outcome,
    Plan,
    Request,
    nothing_found,
    skip_groups,
)
from medidiff.batch.earlier import earlier_output
from medidiff.batch.request import check_folder
from medidiff.errors import (
    EngineError,
    MedidiffError,
    NoImageError,
    OutputError,
    PixelError,
    RefusedError,
    UsageError,
)
from medidiff.io import Discovery, Reason, SeriesItem, Skipped
from medidiff.report import hashed
from medidiff.volume import Volume

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)


def item(path: str = "/in/a.nii", **fields: object) -> SeriesItem:
    values: dict[str, object] = {
        "path": Path(path), "kind": "nifti", "files": (Path(path),), "modality": "CT", "description": "a",
        "name": "a", "shape": (3, 4, 5), "spacing": (1.0, 1.0, 1.0),
    }  # fmt: skip
    return SeriesItem(**{**values, **fields})  # type: ignore[arg-type]


def account(*outcomes: Outcome, skipped: tuple[Skipped, ...] = (), cancelled: bool = False) -> Account:
    request = Request((Path("/in"),), Path("/out"))
    plan = Plan(request, Discovery(tuple(o.item for o in outcomes), skipped), ())
    return Account(plan, outcomes, NOW, 1.0, cancelled)


DONE = Outcome(item(), "denoised")
SKIPPED = Outcome(item(), "skipped", "an earlier output")
THERE = Outcome(item(), "skipped", "its output is there already", code="DONE")
REFUSED = Outcome(item(), "refused", "is PET")
BROKEN = Outcome(item(), "failed", "disk", error=OutputError("disk"))
MEMORY = Outcome(item(), "failed", "memory", error=MemoryError())
ENGINE = Outcome(item(), "failed", "engine", error=EngineError("no engine"))
BUG = Outcome(item(), "failed", "bug", error=ZeroDivisionError())
UNDECODABLE = Outcome(item(), "refused", "pixels", error=PixelError("pixels"))


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([DONE], 0), ([DONE, SKIPPED], 0), ([SKIPPED], 0),
        ([DONE, REFUSED], 4), ([DONE, BROKEN], 4), ([DONE, MEMORY], 4), ([REFUSED, BROKEN], 4),
        ([THERE], 0), ([THERE, REFUSED], 4), ([THERE, MEMORY], 4),  # as if one run had done it all
        ([REFUSED], 5), ([REFUSED, UNDECODABLE, SKIPPED], 5), ([], 5),
        ([BROKEN], 1), ([BUG], 1), ([BROKEN, BUG], 1), ([ENGINE], 7), ([MEMORY], 8), ([MEMORY, MEMORY], 8),
    ],
)  # fmt: skip
def test_exit_code_of_a_run(outcomes: list[Outcome], code: int) -> None:
    assert account(*outcomes).exit_code == code
    assert account(*outcomes, cancelled=True).exit_code == 6


@pytest.mark.parametrize(
    ("reason", "code"),
    [(Reason.TRUNCATED, 4), (Reason.DAMAGED_HEADER, 4), (Reason.LOCALIZER, 0), (Reason.SIDECAR, 0)],
)
def test_lost_data_is_told_by_the_exit_code(reason: Reason, code: int) -> None:
    assert account(DONE, skipped=(Skipped(Path("/in/x"), reason),)).exit_code == code


def test_nothing_found_tells_no_image_from_refused() -> None:
    text, colour = (
        Skipped(Path("/in/a.txt"), Reason.NOT_AN_IMAGE),
        Skipped(Path("/in/b"), Reason.COLOUR, "RGB"),
    )
    link = Skipped(Path("/in/c"), Reason.DUPLICATE, "a link to a.txt")
    assert isinstance(nothing_found([Path("/in")], [text, link]), NoImageError)
    empty = nothing_found([Path("/in")], [])
    assert isinstance(empty, NoImageError)
    assert isinstance(nothing_found([Path("/in")], [text]), NoImageError)
    both = nothing_found([Path("/in")], [text, colour])
    assert isinstance(both, RefusedError)
    assert "1 file: a colour image" in str(both)
    assert "not an image" not in str(both)
    assert str(nothing_found([Path("/in")], [colour])) == "/in/b: cannot be processed: a colour image (RGB)."


def test_skipped_files_are_grouped() -> None:
    skipped = [Skipped(Path(f"/in/{k}"), Reason.SIDECAR if k else Reason.COLOUR) for k in range(4)]
    groups = skip_groups(skipped)
    assert [(reason, len(paths)) for reason, _, paths in groups] == [(Reason.SIDECAR, 3), (Reason.COLOUR, 1)]


def test_the_report_is_json_and_names_every_series() -> None:
    from medidiff.batch import Pool

    content = account(DONE, REFUSED, skipped=(Skipped(Path("/in/x"), Reason.COLOUR, "RGB"),)).as_dict(Pool())
    assert json.loads(json.dumps(content)) == content
    assert [s["status"] for s in content["series"]] == ["denoised", "refused"]
    assert content["skipped_files"] == [
        {
            "code": "COLOUR", "reason": "a colour image", "detail": "RGB", "image": True, "files": 1,
            "paths": [hashed("/in/x")],
        }
    ]  # fmt: skip
    assert content["versions"]["numpy"] == np.__version__


def test_the_output_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="a file is where"):
        check_folder(tmp_path / "file" / "b")
    with pytest.raises(UsageError, match="folder"):
        check_folder(tmp_path / "out.nrrd")
    with pytest.raises(OutputError, match="too long"):
        check_folder(tmp_path / ("x" * 300))


def test_which_of_our_own_images_count_as_earlier_outputs() -> None:
    own = {"own_output": True}
    denoised, made = item("/in/a_desc-denoised.nii", **own), item("/in/a_desc-dose25.nii", **own)
    assert not earlier_output(item(), [Path("/in")], Path("/out"))
    assert earlier_output(denoised, [Path("/in")], Path("/out"))
    assert not earlier_output(denoised, [denoised.path], Path("/out"))  # named by the user
    assert not earlier_output(made, [Path("/in")], Path("/out"))  # simulated: there to be denoised
    assert earlier_output(made, [Path("/in")], Path("/in"))
    dicom = {"kind": "dicom", "own_output": True}
    assert earlier_output(
        item("/in/4", description="Chest medidiff denoised (research)", **dicom), [], Path("/o")
    )
    assert not earlier_output(
        item("/in/4", description="Chest medidiff dose25 (research)", **dicom), [], Path("/o")
    )


def test_a_modality_brings_its_unit() -> None:
    volume = Volume(np.zeros((1, 2, 2), np.float32), np.eye(4))
    assert volume.taken_as("CT").unit == "HU"
    assert volume.taken_as("CT").taken_as("MR").unit == "a.u."
    assert volume.taken_as("OT") is volume


def test_every_code_of_an_error_is_a_reason() -> None:
    def family(kind: type) -> list[type]:
        return [kind, *(x for sub in kind.__subclasses__() for x in family(sub))]

    assert {kind.code for kind in family(MedidiffError)} <= set(Reason.__members__)


def test_every_exit_code_has_a_word() -> None:
    from medidiff.cli.events import CODES

    codes = {c.exit_code for c in [MedidiffError, *MedidiffError.__subclasses__()]}
    assert codes | {4} == set(CODES)
