"""medidiff evaluate on folders: which scan is compared with which, and what is said of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cli_scans import LARGE, ROWS, body, ct_series, halved, patients

CLEAN = body(3, LARGE, sd=0.0).astype(np.float32)


def nifti(path: Path, added: float, shift: float = 0.0) -> Path:
    """The clean scan and a constant, as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-0.8, -0.8, 3.0, 1.0])
    affine[2, 3] = shift
    nib.save(nib.Nifti1Image((CLEAN + added).T, affine), path)
    return path


def figures(run: Callable, *args: object) -> dict[str, list[float]]:
    """RMSE of the tests of each reference, by the reference's label."""
    ran = run("evaluate", *args, "--modality", "ct", "--json", "-")
    assert ran.code == 0, ran.err
    scans = json.loads(ran.out)["scans"]
    return {s["label"].split(" (")[0]: [t["rmse"]["mean"] for t in s["tests"]] for s in scans}


def test_the_only_test_scan_belongs_to_its_own_patient_alone(run: Callable, tmp_path: Path) -> None:
    for k in (1, 2):
        nifti(tmp_path / "t" / f"sub-0{k}_ct.nii.gz", 0)
    nifti(tmp_path / "n" / "sub-02_ct_desc-denoised.nii.gz", 5)
    args = ("--reference", tmp_path / "t", "--test", tmp_path / "n")
    assert figures(run, *args) == {"sub-01_ct.nii.gz": [], "sub-02_ct.nii.gz": [pytest.approx(5)]}
    shown = run("evaluate", *args, "--modality", "ct", "--report", tmp_path / "r").out
    assert "n has no scan for sub-01_ct.nii.gz" in shown
    assert "1 scan of 1 patient." in shown
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert [s["label"].split(" (")[0] for s in report["series"]] == ["sub-02_ct.nii.gz"]


def test_maps_beside_the_only_result_are_not_it(run: Callable, tmp_path: Path) -> None:
    truth, scan = nifti(tmp_path / "t_ct.nii.gz", 0), nifti(tmp_path / "s_ct.nii.gz", 9)
    result = nifti(tmp_path / "out" / "s_ct_desc-denoised.nii.gz", 5)
    for kind in ("residual", "uncertainty"):
        sd = nifti(tmp_path / "out" / f"s_ct_desc-{kind}.nii.gz", 2)
    ran = run("evaluate", "--reference", truth, "--test", tmp_path / "out", "--modality", "ct", "--json", "-")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["tests"][0]["rmse"]["mean"] == pytest.approx(5)
    alone = ("evaluate", "--scan", scan, "--modality", "ct", "--test")
    assert run(*alone, tmp_path / "out").code == run(*alone, result).code == 0
    named = run("evaluate", "--reference", truth, "--test", sd, "--modality", "ct", "--json", "-")
    assert json.loads(named.out)["tests"][0]["rmse"]["mean"] == pytest.approx(
        2
    )  # a map that is named is meant


def test_the_folder_tells_files_of_one_name_apart(run: Callable, tmp_path: Path) -> None:
    for k in (1, 2, 3):
        nifti(tmp_path / "t" / f"p{k}" / "ct.nii.gz", 0)
    for k in (2, 3):
        nifti(tmp_path / "n" / f"p{k}" / "ct_desc-denoised.nii.gz", 5 * k)
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", tmp_path / "n", "--modality", "ct",
              "--json", "-")  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)["scans"]
    assert [[t["rmse"]["mean"] for t in s["tests"]] for s in found] == [
        [], [pytest.approx(10)], [pytest.approx(15)]
    ]  # fmt: skip


def test_one_test_scan_that_fits_two_references_is_refused(run: Callable, tmp_path: Path) -> None:
    for k in (1, 2):
        nifti(tmp_path / "t" / f"p{k}" / "ct.nii.gz", 0)
    nifti(tmp_path / "n" / "ct.nii.gz", 5)
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", tmp_path / "n")
    assert ran.code == 2
    assert "2 reference scans could belong to the test scan ct.nii.gz" in ran.sentence


def test_two_single_files_are_compared_whatever_their_names(run: Callable, tmp_path: Path) -> None:
    one, other = nifti(tmp_path / "sub-1_ct.nii.gz", 0), nifti(tmp_path / "x" / "other.nii.gz", 5)
    for test in (other, other.parent):
        ran = run("evaluate", "--reference", one, "--test", test, "--modality", "ct", "--json", "-")
        assert json.loads(ran.out)["tests"][0]["rmse"]["mean"] == pytest.approx(5)


def test_a_reference_at_another_place_stops_nothing(run: Callable, tmp_path: Path) -> None:
    """Two stations of one DICOM patient, one of which was tested; and a file that moved."""

    def place(start: float) -> list[float]:
        return [start, start + 3, start + 6]

    for name, start in (("a", 0.0), ("b", 300.0)):
        ct_series(tmp_path / "t" / name, slices=3, stored=body(3, LARGE, sd=0.0), series=name,
                  depths=place(start))  # fmt: skip
    noisy = body(3, LARGE, sd=0.0) + 8 * ROWS.astype(np.int16)
    ct_series(tmp_path / "n", slices=3, stored=noisy, series="n", depths=place(300.0))
    args = ("--reference", tmp_path / "t", "--test", tmp_path / "n")
    ran = run("evaluate", *args)
    assert ran.code == 0, ran.err
    assert ran.out.count("has no scan for") == 1
    content = json.loads(run("evaluate", *args, "--json", "-").out)
    assert sorted(len(s["tests"]) for s in content["scans"]) == [0, 1]
    for k in (1, 2):
        nifti(tmp_path / "ft" / f"{k}.nii.gz", 0)
        nifti(tmp_path / "fn" / f"{k}.nii.gz", 5, shift=50.0 * (k - 1))
    found = figures(run, "--reference", tmp_path / "ft", "--test", tmp_path / "fn")
    assert found == {"1.nii.gz": [pytest.approx(5)], "2.nii.gz": []}


def test_a_test_scan_without_a_reference_is_named(run: Callable, tmp_path: Path) -> None:
    for k in (1, 2):
        nifti(tmp_path / "t" / f"sub-0{k}_ct.nii.gz", 0)
        nifti(tmp_path / "n" / f"sub-0{k}_ct.nii.gz", 5)
    nifti(tmp_path / "n" / "sub-03_ct.nii.gz", 5)
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", tmp_path / "n", "--modality", "ct")
    assert ran.code == 0, ran.err
    assert "n has scans that belong to no reference: sub-03_ct.nii.gz" in ran.out
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", tmp_path / "n", "--modality", "ct",
              "--json", "-")  # fmt: skip
    (labels,) = json.loads(ran.out)["without_reference"].values()
    assert [label.split(" (")[0] for label in labels] == ["sub-03_ct.nii.gz"]


def test_two_tests_of_one_name_are_refused(run: Callable, tmp_path: Path) -> None:
    truth, noisy = patients(tmp_path / "t", 0), patients(tmp_path / "n", 8)
    half = patients(tmp_path / "h", 4)
    for args in (("--reference", truth), ("--scan", truth / "0")):
        ran = run("evaluate", *args, "--test", f"a={noisy}", "--test", f"a={half}")
        assert ran.code == 2
        assert "Two tests have one name" in ran.sentence
        assert str(half) in ran.sentence


def test_files_in_folders_named_after_patients_do_not_name_them(run: Callable, tmp_path: Path) -> None:
    for k, person in enumerate(("MustermannMax", "MustermannEva")):
        nifti(tmp_path / "t" / person / "ct.nii.gz", 0)
        nifti(tmp_path / "n" / person / "ct.nii.gz", 5 * (k + 1))
    ran = run("evaluate", "--reference", tmp_path / "t", "--test", f"noisy={tmp_path / 'n'}",
              "--modality", "ct", "--report", tmp_path / "r")  # fmt: skip
    assert ran.code == 0, ran.err
    text = (tmp_path / "r" / "report.json").read_text()
    assert "Mustermann" not in text
    assert len({s["patient"] for s in json.loads(text)["series"]}) == 2


@pytest.mark.parametrize("name", ["liver_mask.nii.gz", "x_dseg.nii.gz", "x_label.nii", "plain.nii.gz",
                                  "x_mask.nrrd", "Segmentation.seg.nrrd"])  # fmt: skip
def test_masks_may_be_called_and_declared_masks(run: Callable, tmp_path: Path, name: str) -> None:
    import SimpleITK

    truth, noisy = nifti(tmp_path / "t.nii.gz", 0), nifti(tmp_path / "n.nii.gz", 5)
    image = nib.load(noisy)
    marked = np.zeros(image.shape, np.uint8)
    marked[10:60, 20:90] = 2
    mask = nib.Nifti1Image(marked, image.affine)
    mask.header.set_intent("label")
    nib.save(mask, tmp_path / "saved.nii")
    if name.endswith(".nrrd"):
        SimpleITK.WriteImage(SimpleITK.ReadImage(tmp_path / "saved.nii"), tmp_path / name)
    else:
        nib.save(mask, tmp_path / name)
    args = ("--reference", truth, "--test", noisy, "--modality", "ct", "--mask", tmp_path / name)
    ran = run("evaluate", *args, "--json", "-")
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.out)["tests"]
    assert found["excluded"] == pytest.approx(1 - 50 * 70 / 128**2)
    assert f"mask {name}" in found["protocol_text"]


def marked(path: Path, rows: int, like: Path) -> None:
    """A mask of so many rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.load(like)
    inside = np.zeros(image.shape, np.uint8)
    inside[:, :rows] = 1
    nib.save(nib.Nifti1Image(inside, image.affine), path)


NAMED = {
    "as the image": ("sub-{}_ct.nii.gz", "sub-{}_ct_mask.nii.gz"),
    "as its beginning": ("sub-{}_ct.nii.gz", "sub-{}_desc-body_mask.nii.gz"),
    "by the folder": ("p{}/ct.nii.gz", "p{}/mask.nii.gz"),
    "by folder and name": ("p{}/ct.nii.gz", "p{}/ct_label.nii.gz"),
}


@pytest.mark.parametrize("how", NAMED)
@pytest.mark.parametrize("beside", [False, True])
def test_every_reference_has_its_own_mask(run: Callable, tmp_path: Path, how: str, beside: bool) -> None:
    """Each mask has as many rows as its scan differs in; the third reference has no test, and no mask."""
    image, mask = NAMED[how]
    where = tmp_path / ("t" if beside else "m")
    for k in (10, 20, 30):
        truth = nifti(tmp_path / "t" / image.format(k), 0)
        if k < 30:
            marked(where / mask.format(k), k, truth)
            test = nib.load(nifti(tmp_path / "n" / image.format(k), 0))
            changed = test.get_fdata(dtype=np.float32)
            changed[:, :k] += k
            nib.save(nib.Nifti1Image(changed, test.affine), tmp_path / "n" / image.format(k))
    args = (
        "--reference",
        tmp_path / "t",
        "--test",
        f"n={tmp_path / 'n'}",
        "--mask",
        where,
        "--modality",
        "ct",
    )
    ran = run("evaluate", *args, "--json", "-", "--report", tmp_path / "r")
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    found = [t for s in content["scans"] for t in s["tests"]]
    assert [t["rmse"]["mean"] for t in found] == [pytest.approx(10), pytest.approx(20)]
    assert [t["excluded"] for t in found] == [pytest.approx(1 - k / 128) for k in (10, 20)]
    assert content["cohort"]["summaries"][2]["per_patient"]["value"] == pytest.approx(15)
    assert f"mask {'t' if beside else 'm'}" not in ran.out  # a folder is called by its hash
    assert len(json.loads((tmp_path / "r" / "report.json").read_text())["series"]) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("sub-10_ct_mask.nii.gz",), "sub-20_ct.nii.gz (128x128x3) has no mask"),
        (("sub-10_ct_mask.nii.gz", "sub-10_ct_seg.nii.gz"), "sub-10_ct.nii.gz (128x128x3) has 2 masks"),
        (("sub_mask.nii.gz",), "has no mask"),
    ],
)
def test_masks_that_cannot_be_told_are_refused(
    run: Callable, tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    for k in (10, 20):
        truth = nifti(tmp_path / "t" / f"sub-{k}_ct.nii.gz", 0)
        nifti(tmp_path / "n" / f"sub-{k}_ct.nii.gz", 5)
    for name in names:
        marked(tmp_path / "m" / name, 10, truth)
    args = ("--reference", tmp_path / "t", "--test", tmp_path / "n", "--modality", "ct")
    ran = run("evaluate", *args, "--mask", tmp_path / "m")
    assert ran.code == 2
    assert said in ran.sentence


def test_a_figure_that_no_slice_has_is_a_dash(run: Callable, tmp_path: Path) -> None:
    """VIF needs squares of 41 x 41 pixels that count."""
    truth, noisy = nifti(tmp_path / "t.nii.gz", 0), nifti(tmp_path / "n.nii.gz", 5)
    image = nib.load(noisy)
    marked = np.zeros(image.shape, np.uint8)
    marked[10:40, 20:60] = 1
    nib.save(nib.Nifti1Image(marked, image.affine), tmp_path / "roi_mask.nii.gz")
    mask = ("--mask", tmp_path / "roi_mask.nii.gz")
    ran = run("evaluate", "--reference", truth, "--test", noisy, "--modality", "ct", *mask)
    assert ran.code == 0, ran.err
    row = next(line for line in ran.out.splitlines() if "n.nii.gz" in line).split()
    assert row[4] == "-"
    assert "no slice has VIF" in ran.out


def test_a_report_names_no_folder(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither absolute nor relative, neither in the arms nor in the command nor in the protocol."""
    clean, noisy, half = halved(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path, name in ((clean, "MustermannTruth"), (noisy, "MustermannNoisy"), (half, "MustermannHalf")):
        path.rename(name)
    ct_series(Path("MustermannMask"), slices=3, stored=np.ones((3, *LARGE), np.int16))
    arms = ("--test", "noisy=MustermannNoisy", "--test", "MustermannHalf", "--mask", "MustermannMask")
    for reference in ("MustermannTruth", tmp_path / "MustermannTruth"):
        out = f"{'abs' if isinstance(reference, Path) else 'rel'}"
        ran = run(
            "evaluate", "--reference", reference, *arms, "--report", out, "--json", "MustermannFigures.json"
        )
        assert ran.code == 0, ran.err
        assert "MustermannHalf" in ran.out  # on the terminal everything is called what it is
        for name in ("report.json", "report.csv", "report.html"):
            assert "Mustermann" not in (tmp_path / out / name).read_text(), name
        report = json.loads((tmp_path / out / "report.json").read_text())
        assert "--test noisy=" in report["command"]
        (series,) = report["series"]
        assert [a["name"] for a in series["arms"]] == ["noisy", series["arms"][1]["input"]]
    run("evaluate", "--reference", "MustermannTruth", *arms, "--report", "shown", "--identify")
    report = json.loads((tmp_path / "shown" / "report.json").read_text())
    assert [a["name"] for a in report["series"][0]["arms"]] == ["noisy", "MustermannHalf"]
    assert "--test noisy=MustermannNoisy" in report["command"]


def test_figures_in_json_name_no_folder_either(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reference or several, with a scan beside it, in files and on stdout."""
    clean, noisy, half = halved(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path, name in ((clean, "MustermannTruth"), (noisy, "MustermannNoisy"), (half, "MustermannHalf")):
        path.rename(name)
    one = ("--reference", "MustermannTruth", "--scan", tmp_path / "MustermannNoisy")
    patients(tmp_path / "MustermannAll", 0)
    patients(tmp_path / "MustermannOnes", 8)
    several = (
        "--reference",
        "MustermannAll",
        "--test",
        tmp_path / "MustermannOnes",
        "--test",
        "MustermannAll",
    )
    for args in (
        (*one, "--test", "noisy=MustermannNoisy", "--test", "MustermannHalf"), several,
    ):  # fmt: skip
        ran = run("evaluate", *args, "--json", "f.json")
        assert ran.code == 0, ran.err
        text = (tmp_path / "f.json").read_text()
        assert "Mustermann" not in text
        assert json.loads(run("evaluate", *args, "--json", "-").out) == json.loads(text)
        shown = json.loads(run("evaluate", *args, "--json", "-", "--identify").out)
        assert shown["tests"][1]["path"] == args[-1]
        assert shown["tests"][1]["name"] == args[-1]
    arms = [arm["name"] for arm in json.loads(text)["cohort"]["arms"]]
    assert len(set(arms)) == 2
    assert [t["name"] for t in json.loads(text)["tests"]] == arms


def test_folders_of_niftis_that_are_called_after_patients_are_in_no_json(
    run: Callable, tmp_path: Path
) -> None:
    for who in ("DOE_JOHN", "ROE_JANE"):
        nifti(tmp_path / "t" / who / "ct.nii.gz", 0)
        nifti(tmp_path / "n" / who / "ct.nii.gz", 5)
    args = ("evaluate", "--reference", tmp_path / "t", "--test", f"n={tmp_path / 'n'}", "--modality", "ct")
    ran = run(*args, "--report", tmp_path / "r", "--json", tmp_path / "f.json")
    assert ran.code == 0, ran.err
    for file in (tmp_path / "f.json", tmp_path / "r" / "report.json", tmp_path / "r" / "report.html"):
        assert "DOE" not in file.read_text(), file
    (arm,) = json.loads((tmp_path / "f.json").read_text())["cohort"]["arms"]
    assert len({case["scan"] for case in arm["cases"]}) == 2  # told apart all the same
