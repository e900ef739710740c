"""BIDS roots: folders are kept, the output is a described derivative, gradient tables go with their image."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medidiff.io import Derivation, SeriesItem, discover, read, write

NAMES = ("sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/dwi/sub-02_ses-1_dwi.nii.gz")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "ds001"
    for name, shape in zip(NAMES, ((4, 5, 6), (4, 5, 3, 2)), strict=True):
        (root / name).parent.mkdir(parents=True)
        nib.Nifti1Image(np.ones(shape, np.int16), np.eye(4)).to_filename(root / name)
    stem = root / NAMES[1].removesuffix(".nii.gz")
    stem.with_suffix(".bval").write_text("0 1000\n")
    stem.with_suffix(".bvec").write_text("0 1\n0 0\n0 0\n")
    description = {"Name": "A", "BIDSVersion": "1.8.0", "DatasetType": "raw", "DatasetDOI": "doi:10.1/x"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    (root / "participants.tsv").write_text("participant_id\nsub-01\n")
    return root


def denoised(path: Path, out: Path, derivation: Derivation) -> list[SeriesItem]:
    """Writes every image under a path unchanged; gives the items."""
    items = sorted(discover([path]).items, key=lambda i: i.name)
    for item in items:
        write(read(item), out, derivation=derivation)
    return items


def sources(path: Path) -> list[str]:
    return json.loads(path.read_text())["Sources"]


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_root_becomes_a_derivative(dataset: Path, tmp_path: Path, derivation: Derivation) -> None:
    before = {p: p.read_bytes() for p in dataset.rglob("*") if p.is_file()}
    out = tmp_path / "derivatives" / "medidiff"
    denoised(dataset, out, derivation)
    anat, dwi = (name.removesuffix(".nii.gz") + "_desc-denoised" for name in NAMES)
    assert files(out) == {
        "dataset_description.json", f"{anat}.nii.gz", f"{anat}.json",
        f"{dwi}.nii.gz", f"{dwi}.json", f"{dwi}.bval", f"{dwi}.bvec",
    }  # fmt: skip
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["BIDSVersion"] == "1.8.0"
    assert [g["Name"] for g in description["GeneratedBy"]] == ["medidiff"]
    assert description["SourceDatasets"] == [{"DOI": "doi:10.1/x"}]
    assert sources(out / f"{anat}.json") == [f"bids:source:{NAMES[0]}"]
    link = description["DatasetLinks"]["source"]
    assert (out / link).resolve() == dataset.resolve()
    for extension in (".bval", ".bvec"):
        source = dataset / NAMES[1].replace(".nii.gz", extension)
        assert (out / f"{dwi}{extension}").read_bytes() == source.read_bytes()
    assert {p: p.read_bytes() for p in dataset.rglob("*") if p.is_file()} == before


def test_one_image_of_a_dataset_makes_no_dataset(
    dataset: Path, tmp_path: Path, derivation: Derivation
) -> None:
    denoised(dataset / NAMES[0], tmp_path / "out", derivation)
    assert files(tmp_path / "out") == {"sub-01_T1w_desc-denoised.nii.gz", "sub-01_T1w_desc-denoised.json"}
    assert sources(tmp_path / "out" / "sub-01_T1w_desc-denoised.json") == [f"bids:source:{NAMES[0]}"]


def test_a_dataset_below_the_input_folder(dataset: Path, tmp_path: Path, derivation: Derivation) -> None:
    denoised(dataset.parent, tmp_path / "out", derivation)
    assert "ds001/dataset_description.json" in files(tmp_path / "out")
    assert "dataset_description.json" not in files(tmp_path / "out")


def test_a_dataset_in_a_zip(dataset: Path, tmp_path: Path, derivation: Derivation) -> None:
    with zipfile.ZipFile(tmp_path / "ds.zip", "w") as archive:
        for file in files(dataset):
            archive.write(dataset / file, file)
    denoised(tmp_path / "ds.zip", tmp_path / "zipped", derivation)
    denoised(dataset, tmp_path / "plain", derivation)
    assert files(tmp_path / "zipped") == files(tmp_path / "plain")
    for file in files(tmp_path / "plain") - {"dataset_description.json"}:
        assert (tmp_path / "zipped" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()


def test_a_foreign_description_stays(dataset: Path, tmp_path: Path, derivation: Derivation) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset_description.json").write_text("mine")
    denoised(dataset, out, derivation)
    assert (out / "dataset_description.json").read_text() == "mine"
    before = (dataset / "dataset_description.json").read_bytes()
    denoised(dataset, dataset, derivation)  # beside the images
    assert (dataset / "dataset_description.json").read_bytes() == before
    assert sources(dataset / NAMES[0].replace(".nii.gz", "_desc-denoised.json")) == [f"bids::{NAMES[0]}"]


def test_an_output_in_a_dataset_names_its_nearest_one(
    dataset: Path, tmp_path: Path, derivation: Derivation
) -> None:
    first = dataset / "derivatives" / "medidiff"
    denoised(dataset, first, derivation)
    again = tmp_path / "again"
    denoised(first, again, derivation)
    name = NAMES[0].replace(".nii.gz", "_desc-denoised")
    assert sources(again / f"{name}_desc-denoised.json") == [f"bids:source:{name}.nii.gz"]


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", "[" * 100_000, '{"GeneratedBy": {"Name": "x"}}', '"\\ud800"']
)
def test_odd_sidecars(tmp_path: Path, derivation: Derivation, text: str) -> None:
    nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)).to_filename(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(text)
    denoised(tmp_path, tmp_path / "out", derivation)
    content = json.loads((tmp_path / "out" / "a_desc-denoised.json").read_text())
    assert content["Sources"] == ["a.nii"]
    assert [g["Name"] for g in content["GeneratedBy"]] == ["medidiff"]


def test_text_of_any_language_and_lone_surrogates(tmp_path: Path, derivation: Derivation) -> None:
    nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)).to_filename(tmp_path / "a.nii")
    (tmp_path / "a.json").write_text('{"a": "\\ud800", "Ort": "Köln"}', encoding="utf-8")
    denoised(tmp_path, tmp_path / "out", derivation)
    content = json.loads((tmp_path / "out" / "a_desc-denoised.json").read_text())
    assert (content["a"], content["Ort"]) == ("\ud800", "Köln")
