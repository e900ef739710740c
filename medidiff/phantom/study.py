"""Study: a phantom on disk: ``phantom.json``, ``truth.nii.gz`` and one 4-D NIfTI file a dose in ``scans/``.

The fourth axis holds the realisations, so that a denoiser takes no slice of one for a neighbour of another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff import __version__
from medidiff.errors import NoImageError, RefusedError, UsageError
from medidiff.io import discover, read
from medidiff.io.atomic import check_target, staged
from medidiff.io.bids import beside
from medidiff.io.derivation import MAPS
from medidiff.io.names import image_stem
from medidiff.phantom.design import PIXEL_MM, SLICE_MM, Design
from medidiff.phantom.scan import VIEWS, Exposure, Progress, Scans, scan

KIND, LAYOUT = "medidiff phantom", 1
FILE, TRUTH, SCANS = "phantom.json", "truth.nii.gz", "scans"


@dataclass(frozen=True)
class Study:
    """A phantom on disk.

    Attributes:
        folder: where it lies.
        design: what it is.
        exposure: how it was scanned.
    """

    folder: Path
    design: Design
    exposure: Exposure

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the design, and how it was scanned."""
        return {**self.design.as_dict(), "exposure": asdict(self.exposure)}

    def truth(self) -> NDArray[Any]:
        """The noise-free stack ``[realisations * depth, y, x]`` HU."""
        return _read(self.folder / TRUTH)

    def noisy(self, dose: float) -> NDArray[Any]:
        """The scan at a dose."""
        return _read(self.folder / SCANS / f"{stem(dose)}.nii.gz")

    def of_dose(self, path: Path, dose: float) -> NDArray[Any] | None:
        """The image under a path that was made of the scan at a dose; None if there is none.

        It is known by its file name, which begins as that of the scan does. Maps of the residual or of the
        uncertainty are passed over.

        Raises:
            UsageError: there are several.
        """
        name = stem(dose)
        stems = {item: image_stem(item.files[0]) for item in discover([path]).items}
        found = [
            item
            for item, s in stems.items()
            if (s == name or s.startswith(f"{name}_")) and not s.endswith(tuple(f"desc-{m}" for m in MAPS))
        ]
        if len(found) > 1:
            raise UsageError(
                f"There are several images of dose {100 * dose:.4g}%", where=path,
                received=", ".join(i.label for i in found[:4]), hint="Give one method at a time.",
            )  # fmt: skip
        return read(found[0]).array if found else None


def stem(dose: float) -> str:
    """File name of the scan at a dose, without the extension."""
    return f"dose{100 * dose:.4g}"


def make(
    folder: Path,
    design: Design,
    exposure: Exposure,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Study:
    """Scans a phantom and writes it; nothing appears before everything is done.

    Args:
        folder: to write to; other files in it stay as they are.
        design: the phantom.
        exposure: noise level and doses.
        overwrite: replace an earlier phantom.
        progress: called with realisations done and in all.
        cancelled: asked before each realisation.

    Raises:
        OutputError: there is a phantom already, or it cannot be written.
        CancelledError: `cancelled` said so.
    """
    images = [folder / TRUTH, *(folder / SCANS / f"{stem(d)}.nii.gz" for d in exposure.doses)]
    texts = [beside(path, ".json") for path in images]
    for path in (folder / FILE, *images, *texts):
        check_target(path, overwrite=overwrite, inputs=())
    scans = scan(design, exposure, progress, cancelled)
    with ExitStack() as stack:

        def place(path: Path, extension: str = "") -> Path:
            return stack.enter_context(
                staged(path, folder=False, overwrite=overwrite, inputs=(), extension=extension)
            )

        # Renamed in the reverse order: phantom.json comes last.
        place(folder / FILE).write_text(_content(design, exposure, scans), encoding="utf-8")
        for image, text, array in zip(images, texts, (scans.truth, *scans.noisy), strict=True):
            place(text).write_text(json.dumps({"Modality": "CT", "Units": "HU"}) + "\n", encoding="utf-8")
            _write(place(image, ".nii.gz"), array, design)
    return Study(folder, design, exposure)


def open_study(path: Path) -> Study:
    """Opens a phantom.

    Args:
        path: its folder or its ``phantom.json``.

    Raises:
        NoImageError: there is none.
        RefusedError: the file is damaged, or of a later version.
    """
    file = path / FILE if path.is_dir() else path
    if not file.exists():
        raise NoImageError(
            "There is no phantom", where=file, hint="Make one: medidiff phantom make -o FOLDER."
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["kind"] != KIND or content["layout"] != LAYOUT:
            raise ValueError(f"{content['kind']}, layout {content['layout']}")
        design = Design.from_dict(content["design"])
        exposure = content["exposure"]
        return Study(
            file.parent,
            design,
            Exposure(exposure["sigma"], tuple(exposure["doses"]), exposure["electronic"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(
            "is not the description of a phantom that this version of medidiff reads", where=file,
            received=f"{type(error).__name__}: {error}",
        ) from error  # fmt: skip


def _content(design: Design, exposure: Exposure, scans: Scans) -> str:
    """``phantom.json``: all that is known about the phantom."""
    inside = design.body
    middle = slice(design.depth // 2, None, design.depth)
    files = [
        {
            "dose": dose,
            "file": f"{SCANS}/{stem(dose)}.nii.gz",
            "photons": photons,
            "noise_sd": float((noisy[middle] - scans.truth[middle])[:, inside].std()),
        }
        for dose, photons, noisy in zip(exposure.doses, scans.photons, scans.noisy, strict=True)
    ]
    content = {
        "tool": "medidiff",
        "version": __version__,
        "kind": KIND,
        "layout": LAYOUT,
        "design": design.as_dict(),
        "exposure": {**asdict(exposure), "views": VIEWS, "unit": "HU"},
        "truth": TRUTH,
        "scans": files,
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _write(path: Path, array: NDArray[np.int16], design: Design) -> None:
    """A stack as 4-D NIfTI: x, y, slice, realisation."""
    import nibabel as nib

    stacked = array.reshape(design.realisations, design.depth, *array.shape[1:]).transpose(3, 2, 1, 0)
    # RAS: rows run to the back, columns to the left, as in DICOM.
    image = nib.Nifti1Image(stacked, np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0]), dtype=np.int16)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"phantom, {design.background}".encode()
    nib.save(image, path)


def _read(path: Path) -> NDArray[Any]:
    found = discover([path])
    if not found.items:
        raise NoImageError("A file of the phantom is missing or damaged", where=path)
    return read(found.items[0]).array
