"""A small noisy CT scan with a denoised twin, and reports of it."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from medidiff.denoise import Result
from medidiff.evaluation import Protocol, compare
from medidiff.evaluation.uncertainty import reliability
from medidiff.report import ArmFigures, Images, Names, Study, against, alone, head
from medidiff.volume import Volume

NOW = datetime(2025, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
MODEL = {
    "name": "ct", "version": "1.0", "modality": "ct", "sha256": "ab" * 32, "licence": "Apache-2.0",
    "attribution": ["A collection, CC BY 3.0"],
}  # fmt: skip


@cache
def volumes(modality: str = "CT", slices: int = 7, size: int = 160) -> tuple[Volume, Volume, Result]:
    """Truth, scan and result; the result of slice 3 lost an organ, which is then in the difference."""
    rng = np.random.default_rng(7)
    y, x = (np.indices((size, size)) - size / 2) / (size / 2)
    body = np.hypot(y / 0.75, x / 0.9) < 1
    organ = np.hypot(y - 0.1, x + 0.3) < 0.25
    clean = np.where(body, 40.0, -1000.0) + 60.0 * organ
    noise = 20.0 * rng.standard_normal((slices, size, size))
    affine = np.diag([0.8, 0.7, 3.0, 1.0])
    if modality != "CT":
        clean, affine = np.where(body, 500.0, 0.0) + 200.0 * organ, np.diag([-0.8, -0.7, 3.0, 1.0])
    truth = Volume(
        np.repeat(clean[None], slices, 0).astype(np.float32),
        affine,
        modality,
        "HU" if modality == "CT" else "a.u.",
    )
    scan = truth.with_array(truth.array + noise.astype(np.float32))
    denoised = (truth.array + 0.2 * noise).astype(np.float32)
    denoised[2] -= np.float32(30.0) * organ
    sd = np.full_like(denoised, 4.0)
    return truth, scan, Result(scan.with_array(denoised), sd, 20.0, "20 HU (given)", 1)


def account(**fields: Any) -> dict[str, Any]:
    """What the account of a run says about a denoised series."""
    return {
        "input": "1a2b3c4d", "label": "CT series 4 '<b>Abdomen</b>' (160x160x7)", "kind": "dicom",
        "modality": "CT", "series_uid": "5e6f7a8b", "patient": "99aabbcc", "stack": [1, 1],
        "shape_zyx": [7, 160, 160], "spacing_zyx_mm": [3.0, 0.7, 0.8], "status": "denoised", "reason": "",
        "code": "", "outputs": {"denoised": "4_Abdomen"}, "model": "ct", "sigma": 20.0,
        "sigma_text": "20 HU (given)", "evaluations": 1, "planes": 3, "seconds": 1.25, "clipped_pixels": 3,
        "notes": ["slices overlap: context is taken 2 slices away"], **fields,
    }  # fmt: skip


@cache
def study(modality: str = "CT", number: int = 1) -> Study:
    """Figures and pictures of the small scan."""
    _, scan, result = volumes(modality)
    return alone(number, scan, result, (2,))


def run_report() -> tuple[dict[str, Any], Images]:
    """A run over two scans, one of them refused, with files that were not used."""
    names = Names([Path("/in/DOE")], Path("/out"))
    refused = account(
        label="PT series 9 (64x64x3)", modality="PT", status="refused", code="NO_MODEL",
        reason="1a2b3c4d: is PET, for which there is no model", model=None, sigma=None, sigma_text="",
        outputs={}, notes=[], clipped_pixels=0,
    )  # fmt: skip
    report = {
        **head("denoising", NOW, 65.5, ["medidiff", "denoise", "/in/DOE", "-o", "/out", "--report"], names),
        "exit_code": 4,
        "inputs": ["1a2b3c4d"],
        "settings": {
            "mode": "mean", "steps": 1, "samples": 1, "strength": 1.0, "sigma": 20.0, "seed": 0,
            "modality": "auto", "format": "same", "overwrite": False, "keep_private": False,
        },
        "models": [MODEL],
        "engines": [{"name": "openvino", "device": "CPU", "precision": "float32"}],
        "series": [{**account(), **study().content}, refused],
        "skipped_files": [
            {
                "code": "SIDECAR", "reason": "metadata that accompanies an image", "detail": "",
                "image": False, "files": 2, "paths": ["a.json", "b.json"],
            }
        ],
    }  # fmt: skip
    return report, study().images


def evaluation_report(
    names: tuple[str, ...] = ("noisy", "denoised"), scale: float = 1.0
) -> tuple[dict[str, Any], Images]:
    """The small scan and its result against the truth."""
    truth, scan, result = volumes()
    noise = scan.array - truth.array
    arms = [scan.with_array(truth.array + np.float32(scale) * noise), result.volume]
    assert result.uncertainty is not None
    covered = reliability(truth.array, result.volume.array, result.uncertainty)
    protocol = Protocol.for_volume(truth)
    figures = [
        ArmFigures(name, v, compare(truth, v, protocol), covered if name == names[-1] else None)
        for name, v in zip(names, arms, strict=True)
    ]
    found = against(1, truth, figures)
    report = {
        **head("evaluation", NOW, 2.0, ["medidiff", "evaluate"], Names([], Path("/out"))),
        "models": [], "engines": [], "skipped_files": [],
        "series": [
            {"label": "truth.nii.gz (160x160x7)", "input": "truth.nii.gz", "patient": None, **found.content},
        ],
    }  # fmt: skip
    for arm in report["series"][0]["arms"]:
        arm["input"] = f"{arm['name']}.nii.gz"
    return report, found.images
