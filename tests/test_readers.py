"""The script that compares readers: its verdicts on answers of known worth, and its cases on medidiff."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from readers import files, frames, geometry, pixels, scan  # noqa: E402
from readers.judge import Part, Verdict, judge  # noqa: E402
from readers.page import cell, message, page  # noqa: E402
from readers.tools import medidiff  # noqa: E402

ALL = {build.__name__: build for build in (*geometry.CASES, *pixels.CASES, *files.CASES, *frames.CASES)}

REFUSED = {
    "overlay_bits": "OVERLAY_IN_PIXELS", "modality_lut": "MODALITY_LUT", "palette": "PALETTE",
    "rgb": "COLOUR", "jpeg_extended": "TRANSFER_SYNTAX", "float_pixels": "FLOAT_PIXELS",
}  # fmt: skip
SKIPPED = {
    "localizer": "LOCALIZER", "same_image_twice": "DUPLICATE", "no_position": "NO_POSITION",
    "secondary_capture": "COLOUR", "reports": "NOT_AN_IMAGE_OBJECT", "truncated": "TRUNCATED",
    "damaged_jpegls": "TRUNCATED",
}  # fmt: skip


@pytest.fixture(scope="module")
def base() -> list[scan.Image]:
    """The synthetic series, cut to 6 slices of 40 x 32."""
    images = scan.load(None)[0][:6]
    for image in images:
        image.stored = np.ascontiguousarray(image.stored[120:160, 150:182])
    return images


def grid(images: list[scan.Image]) -> tuple[np.ndarray, list[np.ndarray], str]:
    """A tool's right answer: values [x, y, z] with one affine."""
    affine = images[0].affine
    affine[:3, 2] = (images[-1].affine - images[0].affine)[:3, 3] / (len(images) - 1)
    return np.stack([image.values.T for image in images], axis=2), [affine], "o"


def test_a_right_answer(base: list[scan.Image]) -> None:
    verdict = judge(base, [grid(base)])
    assert cell(verdict) == "reads 6 slices, 5.00 mm, error 0"


def test_turned_and_flipped_axes_are_right(base: list[scan.Image]) -> None:
    values, (affine,), _ = grid(base)
    flipped = affine @ np.diag([1, -1, 1, 1])
    flipped[:3, 3] = affine[:3, 3] + affine[:3, 1] * (values.shape[1] - 1)
    turned = flipped[:, [2, 0, 1, 3]]
    answer = np.flip(values, 1).transpose(2, 0, 1)
    assert cell(judge(base, [(answer, [turned], "")])) == "reads 6 slices, 5.00 mm, error 0"


def test_wrong_answers(base: list[scan.Image]) -> None:
    def after(change: Callable[[np.ndarray, np.ndarray], None]) -> Part:
        values, (affine,), label = deepcopy(grid(base))
        change(values, affine)
        (part,) = judge(base, [(values, [affine], label)]).parts
        assert part.wrong
        return part

    def nudge(values: np.ndarray, _: np.ndarray) -> None:
        values[3, 4, 2] += 7

    def invert(values: np.ndarray, _: np.ndarray) -> None:
        values *= -1

    def stretch(_: np.ndarray, affine: np.ndarray) -> None:
        affine[:3, 2] *= 1.1

    def shift(_: np.ndarray, affine: np.ndarray) -> None:
        affine[0, 3] += 4

    def repeat(values: np.ndarray, _: np.ndarray) -> None:
        values[..., 3] = values[..., 2]

    assert after(nudge).error == 7
    assert after(invert).error > 100
    assert after(stretch).off == pytest.approx(2.5)
    assert after(shift).off == pytest.approx(4)
    assert after(repeat).repeated == 1


def test_interpolated_slices_are_invented(base: list[scan.Image]) -> None:
    values, (affine,), _ = grid(base)
    affine[:3, 3] += affine[:3, 2] / 2
    between = (values[..., :-1] + values[..., 1:]) / 2
    verdict = judge(base, [(between, [affine], "")])
    assert verdict.parts[0].invented == 5
    assert verdict.lost == 6


def test_mixed_stacks_and_strangers(base: list[scan.Image]) -> None:
    images = geometry.two_times(scan.copy(base))
    together = sorted(images, key=lambda i: i.affine[2, 3])
    (part,) = judge(images, [grid(together)]).parts
    assert part.mixed
    assert cell(judge(images, [grid(images[:6]), grid(images[6:])])).startswith("reads 6 + 6 slices")
    images = geometry.localizer(scan.copy(base))
    values, affines, _ = grid(images[1:])
    stacked = np.concatenate([images[0].values.T[..., None], values], axis=2)
    assert judge(images, [(stacked, affines, "")]).parts[0].mixed
    apart = judge(images, [grid(images[1:]), (images[0].values.T[..., None], [images[1].affine], "")])
    assert cell(apart) == "reads 6 slices, 5.00 mm, error 0; other image apart"


def test_what_is_lost_counts(base: list[scan.Image]) -> None:
    verdict = judge(base, [grid(base[:4])])
    assert verdict.lost == 2
    assert "2 lost" in cell(verdict)


@pytest.mark.parametrize("name", ALL)
def test_medidiff_gives_no_wrong_value_or_place(base: list[scan.Image], tmp_path: Path, name: str) -> None:
    try:
        images = ALL[name](scan.copy(base))
    except scan.NotBuiltError as error:
        pytest.skip(str(error))
    scan.save(images, tmp_path / "case")
    answer: dict = {"skipped": [], "said": [], "failed": ""}
    verdict = judge(images, list(medidiff(tmp_path / "case", tmp_path / "out", answer)))
    if name in REFUSED:
        assert not verdict.parts
        assert set(answer["skipped"]) == {REFUSED[name]}
        return
    assert verdict.parts
    assert not any(part.wrong for part in verdict.parts)
    assert set(answer["skipped"]) == ({SKIPPED[name]} if name in SKIPPED else set())
    assert verdict.lost == (name in ("truncated", "damaged_jpegls"))
    gaps = ("slice_missing", "spacing_changes", "position_twice", "truncated", "damaged_jpegls")
    assert (verdict.parts[0].steps[1] > 1.01 * verdict.parts[0].steps[0]) == (name in gaps)


def test_the_script_catches_a_reader_that_is_wrong(base: list[scan.Image], tmp_path: Path) -> None:
    images = geometry.slice_missing(scan.copy(base))
    scan.save(images, tmp_path / "case")
    out = tmp_path / "out"
    out.mkdir()
    tools = BENCHMARKS / "readers" / "tools.py"
    subprocess.run(
        [sys.executable, tools, "SimpleITK", tmp_path / "case", out], check=True, capture_output=True
    )
    answer = json.loads((out / "answer.json").read_text())
    affine = np.array(answer["volumes"][0]["affines"][0])
    (part,) = judge(images, [(np.load(out / "0.npy"), [affine], "")]).parts
    assert part.off > 1


def test_the_page(base: list[scan.Image]) -> None:
    right, refused = (
        judge(base, [grid(base)]),
        Verdict(failed="/tmp/x/1.dcm: ValueError: no | idea\n", lost=6),
    )
    tools = {"medidiff": "1", "medidiff -f nifti": "1", "other": "2"}
    row = {"medidiff": refused, "medidiff -f nifti": refused, "other": right}
    text = page({"Case": row}, tools, label="a series", date="2026-01-02", missing=["z"], left_out=[])
    assert "| Case | refuses: no / idea | refuses: no / idea | reads 6 slices, 5.00 mm, error 0 |" in text
    assert "| 0 / 0 / 1 | 0 / 0 / 1 | 1 / 0 / 0 |" in text
    assert "* Case: other" in text
    assert "left out: z" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def test_messages_are_short_and_without_paths() -> None:
    text = message(
        "Exception in /home/someone/x.dcm: sitk::ERROR: Reader(0x55aa): Size 1.2.3.4.5.6.7.8 " + "a " * 99
    )
    assert text.startswith("Size UID a")
    assert len(text) <= 110
    assert "someone" not in text
