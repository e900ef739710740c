"""A worker that denoises nothing: it smooths along rows and speaks the protocol of medidiff.

The self-test runs it where medidiff is not installed, so that the way of the voxels, the events and the scene
can be tested on any Slicer. Standard library only: any Python runs it, called like Python itself
(``-m medidiff denoise IN -o OUT ...``).
"""

from __future__ import annotations

import array
import json
import os
import sys
from pathlib import Path

VERSION, PROTOCOL = "0.0.stub", 1

TYPES = {
    "unsigned char": "B", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "unsigned short": "H",
    "uint16": "H", "ushort": "H", "int": "i", "int32": "i", "float": "f", "double": "d",
}  # fmt: skip


def emit(event: str, **fields: object) -> None:
    """Tells an event."""
    print("@medidiff " + json.dumps({"event": event, **fields}), flush=True)


def doctor() -> None:
    """What the stub is."""
    model = {
        "name": "stub", "version": "0", "modality": "ct", "licence": "Apache-2.0", "attribution": [],
        "problem": None, "path": "", "sha256": "", "megabytes": 0,
    }  # fmt: skip
    facts = {
        "tool": "medidiff", "protocol": PROTOCOL, "versions": {"medidiff": VERSION}, "python": sys.executable,
        "engines": [{"name": "stub", "version": VERSION, "missing": None, "devices": ["CPU"]}],
        "devices": [{"device": "cpu", "engines": ["stub"]}],
        "models": [model, {**model, "name": "stub-mr", "modality": "mr"}],
        "memory_gb": {"total": None, "available": None}, "problems": [],
    }  # fmt: skip
    print(json.dumps(facts))


def read(path: Path) -> tuple[bytes, dict[str, str], array.array]:
    """Header as it stands, its fields, and the voxels of an uncompressed NRRD file."""
    header, _, data = path.read_bytes().partition(b"\n\n")
    lines = [line for line in header.decode("utf-8").splitlines() if ": " in line]
    fields = dict(line.split(": ", 1) for line in lines)
    if fields["encoding"] != "raw":
        raise ValueError(f"{path.name}: the stub reads raw voxels. Received: {fields['encoding']}")
    voxels = array.array(TYPES[fields["type"]])
    voxels.frombytes(data)
    return header, fields, voxels


def smooth(voxels: array.array, shape: list[int], roi: list[int], strength: float) -> array.array:
    """Mean of each voxel and its neighbours in the row, inside the region alone."""
    out, whole = array.array(voxels.typecode, voxels), voxels.typecode not in "fd"
    columns, rows = shape[0], shape[1]
    i0, i1, j0, j1, k0, k1 = roi
    for k in range(k0, k1):
        for j in range(j0, j1):
            start = (k * rows + j) * columns
            for i in range(max(i0, 1), min(i1, columns - 1)):
                at = start + i
                mean = (voxels[at - 1] + voxels[at] + voxels[at + 1]) / 3
                value = strength * mean + (1 - strength) * voxels[at]
                out[at] = round(value) if whole else value
    return out


def denoise(words: list[str]) -> None:
    """``denoise IN -o OUT [--roi ...] [--strength S] ...``."""
    options = {word: words[n + 1] for n, word in enumerate(words[:-1]) if word.startswith("-")}
    source, target = Path(words[0]), Path(options["-o"])
    emit("hello", version=VERSION, protocol=PROTOCOL)
    header, fields, voxels = read(source)
    shape = [int(size) for size in fields["sizes"].split()]
    everything = ",".join(f"0,{size}" for size in shape)
    roi = [int(bound) for bound in options.get("--roi", everything).split(",")]
    emit("start", shape=shape[::-1], device="CPU", engine="stub", model="stub", licence="Apache-2.0")
    emit("progress", stage="denoising", fraction=0.5, eta_s=0.0)
    result = smooth(voxels, shape, roi, float(options.get("--strength", 1)))
    outputs = {"denoised": str(target)}
    write(target, header, result)
    if "--save-uncertainty" in words:
        beside = target.with_name(f"{target.stem}_desc-uncertainty.nrrd")
        write(beside, header, array.array(voxels.typecode, [1] * len(voxels)))
        outputs["uncertainty"] = str(beside)
    emit("result", path=str(target), outputs=outputs, stats={}, derivation={"model": "stub"})
    emit("done", exit_code=0)


def write(path: Path, header: bytes, voxels: array.array) -> None:
    """Writes beside, then renames: nothing is half-written."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(header + b"\n\n" + voxels.tobytes())
    os.replace(part, path)


def main(words: list[str]) -> None:
    """Called like Python: ``-m medidiff VERB ...``."""
    if words[:2] == ["-m", "medidiff"]:
        words = words[2:]
    if words[:1] == ["doctor"]:
        doctor()
    elif words[:1] == ["denoise"]:
        denoise(words[1:])
    else:
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
