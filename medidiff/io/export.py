"""Writes a DICOM series as NIfTI, NRRD or MetaImage: only where its slices make one regular, upright grid.

Nothing is resampled: a tilted, gapped or irregular stack is refused, because a file with one affine could
only show it at a place where it is not.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, RefusedError
from ..volume import FloatArray, Volume
from .atomic import check_target, staged
from .bids import beside
from .derivation import MAPS, NOTICE, Derivation
from .dicom.geometry import Stack
from .dicom.slice_header import SPLIT, SliceHeader
from .items import SeriesItem, WriteOptions, Written
from .names import EXTENSION, output_path, printable
from .provenance import KEY, source_digest

UPRIGHT = 0.1
"""Degrees that the stacking direction may lean from the slice normal (highdicom's 1e-3 is 0.06)."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NAMES = {"nifti": "NIfTI", "nrrd": "NRRD", "mha": "MetaImage"}


def check_exportable(item: SeriesItem, file_format: str) -> None:
    """Makes sure that a stack can be written with one affine.

    Args:
        item: what is to be exported.
        file_format: ``"nifti"``, ``"nrrd"`` or ``"mha"``.

    Raises:
        RefusedError: not a DICOM series.
        GeometryError: the slices make no regular grid; says where and by how much.
    """
    if item.kind != "dicom":
        raise RefusedError(
            f"is no DICOM series, and only those are exported as {NAMES[file_format]}", where=item.path,
            hint="Keep its own format: leave --format out, or name such a file.", code="NOT_DICOM",
        )  # fmt: skip
    stack: Stack = item.headers.stack
    if stack.tilt > UPRIGHT:
        what = f"tilt {stack.tilt:.1f} degrees: the slices are shifted against each other"
    elif not stack.regular:
        what = "; ".join(stack.notes) or "the steps between slices differ"
    else:
        return
    raise GeometryError(
        f"{NAMES[file_format]} needs a regular grid, and this series has none ({what})", where=item.path,
        hint="Write DICOM instead (--format same), or export part of the series.",
    )  # fmt: skip


class ExportWriter:
    """Takes the stacks of one DICOM series and leaves a file for each, or one 4-D file if they share a grid.

    Use it as a context manager: the files appear, whole, when the block ends without an error.

    Args:
        item: any stack of the series.
        final: the file of its first stack.
        options: suffix, format, overwriting.
    """

    def __init__(self, item: SeriesItem, final: Path, options: WriteOptions) -> None:
        self._final, self._options, self._item = final, options, item
        self._parts: list[tuple[SeriesItem, Path, NDArray[Any], Derivation]] = []

    def __enter__(self) -> ExportWriter:
        check_target(self._final, overwrite=self._options.overwrite, inputs=self._item.inputs)
        return self

    def add(self, volume: Volume, derivation: Derivation) -> Written:
        """Takes one stack; it is written when the block ends.

        Args:
            volume: from `read_series`, with new values.
            derivation: what was done.

        Raises:
            GeometryError: the stack has no regular grid.
        """
        item: SeriesItem = volume.source
        check_exportable(item, self._options.format)
        options = self._options
        path = output_path(item, self._final.parent, options.suffix, options.format, options.file)
        whole = self._options.suffix not in MAPS and _is_whole(item)
        values = _as_integers(volume.array) if whole else volume.array
        self._parts.append((item, path, values, derivation))
        sidecar = (beside(path, ".json"),) if self._options.format == "nifti" else ()
        return Written(path, (path, *sidecar))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None or not self._parts:
            return
        if self._options.format != "nifti":
            self._write_itk()
        elif self._item.shared_grid:
            if len(self._parts) < self._item.part[1]:
                raise RefusedError(
                    f"only {len(self._parts)} of its {self._item.part[1]} volumes could be processed, so "
                    "that there is no 4-D file to write", where=self._item.path,
                )  # fmt: skip
            self._write_nifti(self._parts)
        else:
            for part in self._parts:
                self._write_nifti([part])

    def _write_nifti(self, parts: list[tuple[SeriesItem, Path, NDArray[Any], Derivation]]) -> None:
        import nibabel as nib

        item, final, _, derivation = parts[0]
        dtype = np.result_type(*(values.dtype for _, _, values, _ in parts))
        volumes = [values.astype(dtype, copy=False).T for _, _, values, _ in parts]  # [x, y, z]
        data = volumes[0] if len(volumes) == 1 else np.stack(volumes, axis=-1)
        image: Any = nib.Nifti1Image(data, LPS_TO_RAS @ item.headers.stack.affine)
        for code in (image.set_sform, image.set_qform):
            code(image.affine, code=1)  # NIFTI_XFORM_SCANNER_ANAT
        image.header.set_xyzt_units("mm")
        tail = f"medidiff {derivation.version} {self._options.suffix} (research)"
        image.header["descrip"] = tail.encode("ascii", "replace")[:79]
        content = _sidecar_content([part for part, *_ in parts], derivation, self._options.suffix)
        options: dict[str, Any] = {"overwrite": self._options.overwrite, "inputs": item.inputs}
        packing = ".nii.gz" if final.name.lower().endswith(".gz") else ".nii"
        with ExitStack() as undo:
            new = undo.enter_context(staged(final, folder=False, extension=packing, **options))
            text = undo.enter_context(staged(beside(final, ".json"), folder=False, **options))
            nib.save(image, new)
            text.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def _write_itk(self) -> None:
        from .itk import save_image

        for item, final, values, derivation in self._parts:
            affine = item.headers.stack.affine
            spacing = np.linalg.norm(affine[:3, :3], axis=0)
            text = f"medidiff {self._options.suffix}: {derivation.describe()}"
            options: dict[str, Any] = {"overwrite": self._options.overwrite, "inputs": item.inputs}
            extension = EXTENSION[self._options.format]
            with staged(final, folder=False, extension=extension, **options) as new:
                direction, source = affine[:3, :3] / spacing, source_digest(item)
                save_image(new, values, affine[:3, 3], spacing, direction, text, source)


def _is_whole(item: SeriesItem) -> bool:
    """True where every real-world value of the source is an integer, as in CT: then the output's are too."""
    from .dicom.reader import read_series

    array = read_series(item).array
    return bool((array == np.rint(array)).all() and np.abs(array).max(initial=0) < 2**24)


def _as_integers(array: FloatArray) -> NDArray[Any]:
    """Rounded values in the smallest of int16, uint16 and int32 that holds them."""
    values = np.rint(array)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    for kind in (np.int16, np.uint16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return np.asarray(array, np.float32)


def _sidecar_content(items: list[SeriesItem], derivation: Derivation, suffix: str) -> dict[str, Any]:
    """A BIDS sidecar without patient text: the source, what was done, what tells the volumes apart."""
    first = items[0]
    content: dict[str, Any] = {
        "Modality": first.modality,
        "Sources": [f"DICOM series {first.name}"],
        "Description": f"{suffix}: {derivation.describe()}",
        "GeneratedBy": [
            {
                "Name": "medidiff", "Version": derivation.version, "Description": NOTICE,
                "Model": derivation.model_id, "ModelSHA256": derivation.model_sha256,
                "Settings": derivation.settings(), KEY: source_digest(first),
            },
        ],
    }  # fmt: skip
    if first.modality == "CT":
        content["Units"] = "HU"
    if len(items) > 1:
        content["Volumes"] = _volumes([item.headers.stack.slices[0] for item in items])
    return content


def _volumes(firsts: list[SliceHeader]) -> list[dict[str, Any]]:
    """What tells the volumes of a 4-D file apart: echo time, b-value, temporal position, and the Image Type
    from its value 3 on where magnitude, phase or fat and water are in one series.

    Args:
        firsts: the first slice of each volume.
    """
    several = len({header.kind for header in firsts}) > 1
    return [
        {k: v for k, v in zip(SPLIT, header.split, strict=True) if v}
        | ({"ImageType": [printable(v, 16) for v in header.kind]} if several else {})
        for header in firsts
    ]
