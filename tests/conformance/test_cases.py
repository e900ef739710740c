"""Every row of `cases`: what is found, read, written and exported.

The oracle is outside: closed forms of `make_series`, pydicom with a slope of our own, nibabel, and the
validators of `validators.py`.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cases import CASES, Case
from derived import by_source, load, real_values, same_image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from validators import inconsistent, introduced, newly_missing, unreadable

from medidiff.errors import GeometryError
from medidiff.io import Derivation, SeriesItem, WriteOptions, discover, open_output, read
from medidiff.volume import Volume

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
written_cases = pytest.mark.parametrize("case", [c for c in CASES if c.stacks], ids=lambda case: case.row)


def test_rows_are_told_apart() -> None:
    assert len({case.row for case in CASES}) == len(CASES)


@every_case
def test_what_is_found(tmp_path: Path, case: Case) -> None:
    case.make(tmp_path)
    found = discover([tmp_path])
    assert {p for i in found.items for p in i.files} | {s.path for s in found.skipped} == {
        p for p in tmp_path.rglob("*") if p.is_file()
    }
    reasons = [s.reason.name for s in found.skipped]
    assert {r: reasons.count(r) for r in reasons} == case.skipped
    assert [item.shape[0] for item in found.items] == [stack.slices for stack in case.stacks]
    for item, stack in zip(found.items, case.stacks, strict=True):
        assert item.tilt == pytest.approx(stack.tilt, abs=1e-3)
        assert case.note in " ".join(item.notes)
        adjacent = read(item).adjacent
        assert adjacent is not None
        assert tuple(np.flatnonzero(~adjacent) + 1) == stack.breaks


@written_cases
def test_values_and_places(tmp_path: Path, case: Case) -> None:
    truth = case.make(tmp_path)
    items = discover([tmp_path]).items
    for item in items:
        volume = read(item)
        if truth is not None and len(items) == 1:
            np.testing.assert_array_equal(volume.array, truth)
        positions = [place for _, place in slices(item)]
        normal = np.cross(volume.affine[:3, 0], volume.affine[:3, 1])
        depths = np.array(positions) @ (normal / np.linalg.norm(normal))
        assert (np.diff(depths) >= -1e-6).all()
        if item.regular:
            ours = [(volume.affine @ [0, 0, k, 1])[:3] for k in range(len(positions))]
            np.testing.assert_allclose(ours, positions, atol=0.01 * item.spacing[0])


def slices(item: SeriesItem) -> list[tuple[np.ndarray, np.ndarray]]:
    """Real-world values and Image Position of every slice of an item, in its order, by pydicom."""
    known = {}
    for path in item.files:
        for key, found in real_values(path).items():
            known[key] = found
    return [known[h.uid, h.frame_number or 1] for h in item.headers.stack.slices]


@written_cases
def test_identity(tmp_path: Path, case: Case) -> None:
    """Strength 0: values, places, padding and window of every slice are those of its source."""
    case.make(tmp_path / "in")
    items = discover([tmp_path / "in"]).items
    volumes, files = copy(items, tmp_path / "out")
    assert sum(stack.slices for stack in case.stacks) == sum(len(v.array) for v in volumes)
    sources = {h.path for item in items for h in item.headers.stack.slices}
    for source, derived in by_source(sources, files):
        same_image(source, derived)


@written_cases
def test_validators(tmp_path: Path, case: Case) -> None:
    """The derived series has no fault that its source has not."""
    case.make(tmp_path / "in")
    items = discover([tmp_path / "in"]).items
    _, files = copy(items, tmp_path / "out")
    sources = sorted({h.path for item in items for h in item.headers.stack.slices})
    for path in sources:  # the tools unpack neither gzip nor deflated data
        if (ds := load(path)).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(path)
    assert newly_missing(sources[:1], files[:1]) == set()
    assert unreadable(files[-1]) == ""
    assert introduced(sources[:1], files[:1]) == set()
    assert inconsistent(files) == inconsistent(sources)


@written_cases
def test_export(tmp_path: Path, case: Case) -> None:
    """A regular grid or a refusal that says why: never a mean spacing."""
    case.make(tmp_path / "in")
    items = discover([tmp_path / "in"]).items
    words = [stack.export for stack in case.stacks if stack.export]
    if words:
        with pytest.raises(GeometryError, match=words[0]):
            copy(items, tmp_path / "out", "nifti")
        assert not (tmp_path / "out").exists()
        return
    copy(items, tmp_path / "out", "nifti")
    images = [nib.load(path) for path in sorted((tmp_path / "out").glob("*.nii.gz"))]
    assert sum(int(np.prod(image.shape[2:])) for image in images) == sum(s.slices for s in case.stacks)
    known = [pair for item in items for pair in slices(item)]
    for image in images:
        array = np.asanyarray(image.dataobj)
        planes = array.reshape(*array.shape[:2], -1, order="F")
        for k in range(planes.shape[2]):
            place = (image.affine @ [0, 0, k % image.shape[2], 1])[:3] * [-1, -1, 1]
            near = [v for v, p in known if np.allclose(p, place, atol=0.01 * image.header.get_zooms()[2])]
            assert any(np.array_equal(planes[:, :, k].T, v.astype(np.float32)) for v in near)


def copy(
    items: tuple[SeriesItem, ...], out: Path, file_format: str = "same"
) -> tuple[list[Volume], list[Path]]:
    """Writes every stack of a series with strength 0."""
    volumes = [read(item) for item in items]
    derivation = Derivation("none", version="0.1.0", operation="copy", context=0)
    options = WriteOptions(format=file_format)  # type: ignore[arg-type]
    with open_output(items[0], out, options) as output:
        written = [output.add(volume, derivation) for volume in volumes]
    assert sum(w.clipped for w in written) == 0
    return volumes, sorted({f for w in written for f in w.files})
