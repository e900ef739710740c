"""What a report calls paths and UIDs: nothing that could be a patient's name is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from medidiff.report.privacy import Names, hashed

ROOT = Path("/data/DOE_JOHN")
UID = "1.3.6.1.4.1.14519.5.2.1.7695.1700"


@pytest.fixture
def names() -> Names:
    return Names([ROOT], Path("/place/out"))


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("CT/0001.dcm", "0001.dcm"), ("CT/IM00012", "IM00012"), ("brain_T1w.nii.gz", "brain_T1w.nii.gz"),
        ("x.nrrd", "x.nrrd"), ("DICOMDIR", "DICOMDIR"), ("DOE_JOHN.zip", ".zip"), ("DOE.CT.0001.IMA", ".IMA"),
        ("DOE_JOHN.json", ".json"), ("letter to Doe.odt", ""), ("DOE_JOHN/Doe John", ""),
    ],
)  # fmt: skip
def test_names_of_files(names: Names, path: str, kept: str) -> None:
    shown = names.path(ROOT / path)
    assert shown.endswith(kept)
    assert "doe" not in shown.lower()
    assert "john" not in shown.lower()
    assert names.path(ROOT / path) == shown
    assert names.path(ROOT / "other" / path) != shown or kept == Path(path).name


def test_a_folder_is_called_the_same_wherever_it_is_named(names: Names) -> None:
    folder = hashed("/data/DOE_JOHN/CT")
    assert names.path(ROOT / "CT" / "0001.dcm") == f"{folder}/0001.dcm"
    assert names.path(ROOT / "CT") == folder


def test_outputs_are_relative(names: Names) -> None:
    assert names.path("/place/out/4_Abdomen_12345678") == "4_Abdomen_12345678"
    assert names.path("/place/out/4_Abdomen_12345678_residual") == "4_Abdomen_12345678_residual"
    assert names.path("/place/out/ct_desc-denoised.nii.gz") == "ct_desc-denoised.nii.gz"
    assert names.path(Path("/place/out")) == "OUT"


def test_outputs_lie_in_folders_called_as_those_of_the_inputs(names: Names) -> None:
    first, second = (names.path(f"/place/out/{who}/t1_desc-denoised.nii") for who in ("DOE_JOHN", "ROE_JANE"))
    assert first.endswith("/t1_desc-denoised.nii")
    assert first != second  # they are told apart all the same
    assert "DOE" not in first
    assert "ROE" not in second


def test_outputs_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = Names([Path("DOE_JOHN")], Path())
    assert names.path(Path("4_Abdomen_12345678")) == "4_Abdomen_12345678"
    assert names.path(Path("ct_desc-denoised.nii.gz")) == "ct_desc-denoised.nii.gz"
    for path in ("DOE_JOHN", "DOE_JOHN/ct/0001.dcm", "DOE_JOHN/ct.nii"):
        assert "DOE" not in names.path(Path(path))


def test_inputs_that_lie_in_the_output_folder_are_no_outputs() -> None:
    names = Names([Path("/place/DOE_JOHN"), Path("/place/DOE_19700101")], Path("/place"))
    for path in ("DOE_JOHN", "DOE_19700101", "DOE_JOHN/ct/0001.dcm", "DOE JOHN", "DOE/scan/a.nii"):
        assert "DOE" not in names.path(f"/place/{path}"), path


def test_messages(names: Names) -> None:
    known = [ROOT / "a b" / "Doe John.dcm"]
    text = names.text(f"{known[0]}: is PET. {ROOT}/CT/IM0001: and {ROOT} too, of {UID}.", known)
    assert "doe" not in text.lower()
    assert "1.3.6" not in text
    assert f"{hashed('/data/DOE_JOHN/CT')}/IM0001" in text
    assert hashed(UID) in text
    assert "is PET." in text
    assert names.text("noise level 25.1 HU is 1.2.3 times") == "noise level 25.1 HU is 1.2.3 times"


def test_command_words(names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Doe").mkdir()
    words = ["denoise", "Doe", "-o", "/place/out", "--sigma=/data/DOE/map.nii", "--mode", "mean", "--report"]
    assert [names.word(w) for w in words] == [
        "denoise", hashed("Doe"), "-o", "OUT", "--sigma=map.nii", "--mode", "mean", "--report",
    ]  # fmt: skip


def test_command_words_that_hold_a_path(
    names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("Doe", "q", "out"):
        (tmp_path / folder).mkdir()
    called = hashed("Doe")
    for word, shown in {
        "noisy=Doe": f"noisy={called}", "--test=noisy=Doe": f"--test=noisy={called}", "-oDoe": f"-o{called}",
        "den=out/x": f"den={hashed('out/x')}", "--test=den=out/x": f"--test=den={hashed('out/x')}",
        "DoeFigures.json": f"{hashed('DoeFigures.json')}.json", "-o/place/out": "-oOUT",
        "--window=50,400": "--window=50,400",
        "-q": "-q", "-1": "-1", "sample": "sample", "1.5": "1.5",
    }.items():  # fmt: skip
        assert names.word(word) == shown


def test_relative_inputs_in_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = Names([Path("DoeJohn"), Path("scan")], Path("DoeOut"))
    for text in (
        "DoeJohn: no image", "DoeJohn/CT/IM1: no image", "it lies in DoeJohn/CT/x.dcm.", "Received: DoeJohn.",
        "it lies in 'DoeJohn'", f"{tmp_path}/DoeJohn/a: no image", "DoeOut/x", "DoeJohn/: no image",
    ):  # fmt: skip
        assert "Doe" not in names.text(text)
    assert names.text("the scan is noisy, as one scan of two") == "the scan is noisy, as one scan of two"
    assert names.text("scan/x y: is noisy") == f"{hashed('scan/x')} y: is noisy"


def test_identified_reports_say_everything() -> None:
    names = Names([ROOT], Path("/place/out"), identify=True)
    assert names.path(ROOT / "DOE.zip") == "/data/DOE_JOHN/DOE.zip"
    assert names.text(f"{ROOT}: {UID}") == f"{ROOT}: {UID}"
