"""Names from files never steer a path, whatever they hold, on any system."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_series import make_series
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from medidiff.io import Derivation, discover, planned_output, read, write
from medidiff.io.names import RESERVED, output_name, safe, safe_path, series_name, without_patient

EVIL = [
    "../../etc/passwd", "/etc/passwd", "..", ".", "", "a\0b", "x" * 300, "con", "NUL.txt", "lpt1", "PRN .x",
    "C:\\x", "..\\..\\x", "~root", "a\nb\r\tc", "\x1b[2J", "%2e%2e%2f", "${HOME}", "$(rm -rf /)", "`ls`",
    ";rm", "-rf", " . ", "\u202egnp", "\ud800", "é" * 300, ".hidden", "a/b/c",
]  # fmt: skip
ELEMENTS = ["SeriesDescription", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"]
STEMS = ["con", "NUL.x", "x" * 240, ".", "", "a\nb", 'a:"b"', "é" * 120]

texts = st.one_of(st.text(max_size=400), st.sampled_from(EVIL))


def assert_plain(part: str) -> None:
    """A name that Windows, macOS and Linux take for a file in its folder, with room for a suffix."""
    assert part not in ("", ".", "..")
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', part)
    assert len(part.encode()) <= 210
    assert part[-1] not in " ."
    assert part.split(".")[0].rstrip().lower() not in RESERVED


@given(texts, texts)
def test_parts_of_a_path(folder: str, name: str) -> None:
    parts = safe_path(Path(folder.replace("/", "_").replace("\0", "_"), "x")).parts
    for part in parts:
        assert_plain(part)
    stem = output_name(Path("in", name.replace("/", "_").replace("\0", "_") + ".nii"), Path("in"))
    assert "/" not in stem
    assert_plain(stem)


@given(st.one_of(st.none(), st.integers()), texts, texts)
def test_names_of_series(number: int | None, description: str, uid: str) -> None:
    name = series_name(number, description, uid)
    assert_plain(name)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    if part := safe(description):
        assert_plain(part)


def test_ordinary_names_stay() -> None:
    for name in ("sub-01/ses-2/anat/sub-01_T1w", "Kopf Müller 3 mm/CT (2)", "患者/画像"):
        assert safe_path(Path(name)) == Path(name)


@pytest.mark.parametrize("text", [t for t in EVIL if t.isascii()])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_element_steers_a_path(tmp_path: Path, derivation: Derivation, text: str) -> None:
    def change(dataset: Dataset, k: int) -> None:
        for element in ELEMENTS:
            dataset[element]._value = text
        dataset["SOPInstanceUID"]._value = f"{text}{k}"

    make_series(tmp_path / "a" / "b" / "in", slices=2, change=change)
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "a" / "b" / "out"
    for item in discover([tmp_path / "a" / "b" / "in"]).items:
        for suffix in ("denoised", "residual", text):
            place = planned_output(item, out, suffix)
            assert place.parent == out
            assert_plain(place.name)
        write(read(item), out, derivation=derivation)
    new = set(tmp_path.rglob("*")) - before
    assert all(p == out or out in p.parents for p in new)


@pytest.mark.parametrize("stem", STEMS)
def test_stems_of_files(tmp_path: Path, derivation: Derivation, stem: str) -> None:
    (tmp_path / "in").mkdir()
    nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)).to_filename(tmp_path / "in" / "a.nii")
    (tmp_path / "in" / "a.nii").rename(tmp_path / "in" / f"{stem}.nii")
    (item,) = discover([tmp_path / "in"]).items
    written = write(read(item), tmp_path / "out", derivation=derivation)
    assert {p.parent for p in written.files} == {tmp_path / "out"}
    for path in written.files:
        assert_plain(path.name.split("_desc-")[0])
        assert path.exists()


def test_words_of_a_patient() -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert without_patient("Chest YAMADA 山田 3 mm, Tarou", name) == "Chest 3 mm,"
    short = "An angiography of Al"  # two letters may mean anything
    assert without_patient(short, "Al^An") == short
    assert without_patient("ID PID-4711 head", None, "PID-4711") == "ID - head"
