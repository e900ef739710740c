"""BIDS: sidecars, gradient tables and the description of a derived dataset (BIDS 1.9, Derivatives)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from .atomic import staged
from .derivation import MAPS, NOTICE, Derivation
from .formats import exists, open_stored
from .names import image_stem, safe_path

if TYPE_CHECKING:
    from .items import SeriesItem

DESCRIPTION = "dataset_description.json"
TABLES = (".bval", ".bvec")
MAX_TEXT = 16 << 20
"""Bytes of a sidecar or table that are read; a longer one is not what its name says."""

LINK = "source"
"""Name of the source dataset in BIDS URIs; DatasetLinks tells where it is."""


def beside(path: Path, extension: str) -> Path:
    """The file of an image's stem with another extension: its sidecar, for example."""
    return path.with_name(f"{image_stem(path)}{extension}")


def read_sidecar(path: Path) -> dict[str, Any]:
    """The BIDS sidecar of an image, {} where there is none that can be read."""
    return _read_json(beside(path, ".json"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read(path: Path) -> bytes:
    """A small text file.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is not small.
    """
    with open_stored(path) as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise ValueError(f"{path.name}: more than {MAX_TEXT >> 20} MB")
    return data


def tables(path: Path) -> dict[str, bytes]:
    """The gradient tables of a diffusion image by extension (``.bval``, ``.bvec``)."""
    found = {}
    for extension in TABLES:
        try:
            found[extension] = _read(beside(path, extension))
        except (OSError, ValueError):
            continue
    return found


def dataset_of(path: Path) -> Path | None:
    """The root of the BIDS dataset that holds a file."""
    return next((folder for folder in path.parents if exists(folder / DESCRIPTION)), None)


def sidecar_text(
    item: SeriesItem, out_dir: Path, unit: str, derivation: Derivation, suffix: str, made: dict[str, str]
) -> str:
    """The sidecar of the source with Sources and GeneratedBy.

    Args:
        item: the source, a NIfTI file.
        out_dir: folder of all outputs.
        unit: of the values.
        derivation: what was done.
        suffix: ``"denoised"``, or one of `MAPS`.
        made: what else GeneratedBy says.
    """
    content = read_sidecar(item.files[0])
    if suffix in MAPS:
        content.pop("SkullStripped", None)
    content["Sources"] = [_source_name(item, out_dir)]
    content["Description"] = f"{suffix}: {derivation.describe()}"
    earlier = content.get("GeneratedBy")
    content["GeneratedBy"] = [
        *(g for g in (earlier if isinstance(earlier, list) else []) if isinstance(g, dict)),
        {
            **_generated_by(derivation), "Model": derivation.model_id,
            "ModelSHA256": derivation.model_sha256, "Settings": derivation.settings(), **made,
        },
    ]  # fmt: skip
    if unit != "a.u.":
        content["Units"] = unit
    return json.dumps(content, indent=2) + "\n"


def _generated_by(derivation: Derivation) -> dict[str, Any]:
    return {"Name": "medidiff", "Version": derivation.version, "Description": NOTICE}


def _source_name(item: SeriesItem, out_dir: Path) -> str:
    """A BIDS URI where the source lies in a dataset, else its file name."""
    path, dataset = item.files[0], item.headers.dataset
    if dataset is None:
        return path.name
    name = path.relative_to(dataset).as_posix()
    return f"bids::{name}" if out_dir.resolve() == dataset.resolve() else f"bids:{LINK}:{name}"


def derived_root(item: SeriesItem, out_dir: Path) -> Path | None:
    """The root of the derived dataset below the output folder, None where the output makes no dataset.

    Sub-folders of the input come back in the output: a dataset found under an input folder makes one.
    """
    dataset, root = item.headers.dataset, item.headers.root
    if dataset is None or root is None or not dataset.is_relative_to(root):
        return None
    return out_dir / safe_path(dataset.relative_to(root))


def describe_dataset(item: SeriesItem, out_dir: Path, derivation: Derivation) -> None:
    """Writes the description of the derived dataset, unless one is there already.

    Raises:
        OutputError: it cannot be written.
    """
    root = derived_root(item, out_dir)
    if root is None or (final := root / DESCRIPTION).exists():
        return
    source = _read_json(item.headers.dataset / DESCRIPTION)
    place = os.path.relpath(item.headers.dataset.resolve(), root.resolve())
    doi = source.get("DatasetDOI")
    content = {
        "Name": "Denoised with medidiff",
        "BIDSVersion": source.get("BIDSVersion", "1.9.0"),
        "DatasetType": "derivative",
        "GeneratedBy": [_generated_by(derivation)],
        "SourceDatasets": [{"DOI": doi} if isinstance(doi, str) else {"URL": Path(place).as_posix()}],
        "DatasetLinks": {LINK: Path(place).as_posix()},
    }
    try:
        with staged(final, folder=False, overwrite=False, inputs=item.inputs) as new:
            new.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OutputError:
        if not final.exists():  # else another run into this dataset has just written it
            raise
