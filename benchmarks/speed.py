"""Seconds and peak memory of `medidiff denoise` on a 512 x 512 x 50 series, beside other methods.

    python benchmarks/speed.py [--slices 50] [--json FILE]

Every row of medidiff is a process of its own, started as a user would (`python -m medidiff denoise`), so that
its time includes start-up, reading and writing, and its peak memory is the process's. The peers run in this
process on one slice of the same series; their time for the series is that times the number of slices.
The series is made here from an analytic phantom with white noise: content does not change the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from peers import Given
from peers.block_matching import bm3d_white
from peers.nonlocal_packages import ants
from peers.smoothing import nlm, tv

SHAPE = (512, 512)
ROWS = [
    ("mean", "openvino", "auto"),
    ("mean", "openvino", "float32"),
    ("mean", "onnxruntime", "float32"),
    ("mean", "tensorflow", "float32"),
    ("natural", "openvino", "auto"),
    ("sample", "openvino", "auto"),
]


def phantom(slices: int, rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> NDArray[np.int16]:
    """Ellipses with white noise of 30 HU, int16 HU ``[z, y, x]``."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    image = np.full(shape, -1000.0)
    image[(x / 0.85) ** 2 + (y / 0.65) ** 2 < 1] = 40.0
    image[((x + 0.3) / 0.25) ** 2 + (y / 0.3) ** 2 < 1] = 90.0
    image[((x - 0.3) / 0.25) ** 2 + ((y + 0.1) / 0.35) ** 2 < 1] = -850.0
    image[(x / 0.1) ** 2 + ((y - 0.45) / 0.1) ** 2 < 1] = 500.0
    noise = rng.standard_normal((slices, *shape), dtype=np.float32) * 30.0
    return np.asarray(np.clip(image + noise, -1024, 3071), np.int16)


def write_series(folder: Path, array: NDArray[np.int16]) -> None:
    """A minimal classic CT series."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    folder.mkdir(parents=True)
    for k, plane in enumerate(array):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.PatientID, ds.PatientName, ds.Modality = "SPEED", "Speed^Phantom", "CT"
        ds.ImageType, ds.InstanceNumber, ds.SeriesNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], k + 1, 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 2.0 * k], [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [0.75, 0.75], 2
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.set_pixel_data((plane + 1024).astype(np.uint16), "MONOCHROME2", 12, generate_instance_uid=False)
        pydicom.dcmwrite(folder / f"{k:04d}.dcm", ds, enforce_file_format=True)


def run(source: Path, out: Path, mode: str, engine: str, precision: str) -> dict[str, float] | None:
    """Wall seconds and peak resident memory of one whole process; None if the engine is not there."""
    command = [sys.executable, "-m", "medidiff", "denoise", str(source), "-o", str(out)]
    command += ["--mode", mode, "--engine", engine, "--precision", precision, "--sigma", "30"]
    command += ["--model", "ct", "--progress", "none", "--overwrite"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status:
        text = process.stderr.read().decode() if process.stderr else ""
        print(
            f"{mode} {engine}: {text.strip().splitlines()[-1] if text.strip() else status}", file=sys.stderr
        )
        return None
    return {"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    array = phantom(options.slices, np.random.default_rng(1))
    lines, results = [], []
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "series"
        write_series(source, array)
        for mode, engine, precision in ROWS:
            found = run(source, Path(scratch) / f"{mode}-{engine}-{precision}", mode, engine, precision)
            name = f"medidiff {mode}, {engine} {precision}"
            if found:
                per_slice = found["seconds"] / options.slices
                lines.append(
                    f"| {name} | {found['seconds']:.1f} | {per_slice:.2f} | {found['peak_mb']:.0f} |"
                )
                results.append({"name": name, **found})
        image = array[options.slices // 2].astype(np.float32)
        for name, method in {"TV": tv, "NLM": nlm, "BM3D": bm3d_white, "ANTs": ants}.items():
            try:
                start = time.monotonic()
                next(method(Given(image[None], 0, 30.0)))
                seconds = time.monotonic() - start
            except ImportError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            lines.append(f"| {name} | {seconds * options.slices:.1f} | {seconds:.2f} | - |")
            results.append({"name": name, "seconds": seconds * options.slices})
    print(
        f"{options.slices} slices of {SHAPE[0]} x {SHAPE[1]}, {os.cpu_count()} cores, {platform.machine()}\n"
    )
    print("| method | s a series | s a slice | peak MB |\n|---|---|---|---|")
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
