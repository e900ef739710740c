"""What a program that drives medidiff relies on: events, files as outputs, regions, devices, kept voxels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_scans import body, ct_series, mr_nifti, tree

from medidiff.errors import MedidiffError

sitk = pytest.importorskip("SimpleITK")
NOISE = ("--sigma", "20")
DIRECTION = (0.0, 0.0, 1.0, 0.8, -0.6, 0.0, -0.6, -0.8, 0.0)
"""An oblique, left-handed grid."""


def nrrd(path: Path, values: np.ndarray, spacing: tuple[float, ...] = (0.8, 0.7, 3.0)) -> Path:
    """A file on an oblique, left-handed grid."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin((-12.5, 30.25, -400.0))
    image.SetDirection(DIRECTION)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def values_of(path: str | Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def events(text: str) -> list[dict]:
    """The events of a run that says nothing else."""
    assert all(line.startswith("@medidiff {") for line in text.splitlines()), text
    return [json.loads(line.removeprefix("@medidiff ")) for line in text.splitlines()]


# Events


def test_hello_comes_before_anything_slow(environment: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys, medidiff.cli.events as p\n"
        "real = p.emit\n"
        "def emit(event, **fields):\n"
        "    real(event, **fields, slow=sorted({'numpy', 'pydicom', 'openvino'} & set(sys.modules)))\n"
        "p.emit = emit\n"
        "from medidiff.cli.main import main\n"
        f"main(['denoise', {str(tmp_path)!r}, '-o', 'x', '--progress', 'jsonl'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    told = events(done.stdout)
    assert done.returncode == 3
    assert told[0]["event"] == "hello"
    assert told[0]["slow"] == []
    assert "numpy" in told[-1]["slow"]  # so that the check can fail


def test_a_series_that_fails_tells_code_and_hint(run: Callable, tmp_path: Path) -> None:
    source = nrrd(tmp_path / "in.nrrd", np.full((3, 64, 64), -1000, np.int16))
    ran = run("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", "--progress", "jsonl")
    assert ran.code == 5
    (error,) = [e for e in events(ran.out) if e["event"] == "error"]
    assert error["code"] == "refused"
    assert "--sigma" in error["hint"]
    assert error["hint"] not in error["text"]
    assert events(ran.out)[-1] == {"event": "done", "exit_code": 5}
    assert tree(tmp_path) == ["in.nrrd"]


def test_a_plan_that_refuses_tells_the_hint_too(run: Callable, tmp_path: Path) -> None:
    source = nrrd(tmp_path / "in.nrrd", body(2))
    args = ("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", *NOISE, "--progress", "jsonl")
    assert run(*args).code == 0
    before = (tmp_path / "o.nrrd").read_bytes()
    (error,) = [e for e in events(run(*args).out) if e["event"] == "error"]
    assert "--overwrite" in error["hint"]
    assert (tmp_path / "o.nrrd").read_bytes() == before


def test_memory_and_bugs_are_events(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nrrd(tmp_path / "in.nrrd", body(2))
    args = ("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", *NOISE, "--progress", "jsonl")
    for problem, code, word in (
        (MemoryError(), "out_of_memory", "--tile"),
        (IndexError("odd"), "failed", "-v"),
    ):

        def broken(*_: object, problem: Exception = problem, **__: object) -> None:
            raise problem

        monkeypatch.setattr("medidiff.denoise.Denoiser.run", broken)
        (error,) = [e for e in events(run(*args).out) if e["event"] == "error"]
        assert error["code"] == code
        assert word in error["hint"]

    def search(*_: object) -> None:
        raise IndexError("odd")

    monkeypatch.setattr("medidiff.batch.planning.discover", search)
    ran = run(*args)
    assert [e["code"] for e in events(ran.out) if e["event"] == "error"] == ["failed"]
    assert "IndexError: odd" in ran.sentence


def test_a_scan_unlike_the_training_gives_warnings_with_codes(run: Callable, tmp_path: Path) -> None:
    stored = np.clip(body(2) + 1024, 0, None).astype(np.uint16)  # as stored, without the intercept
    source = nrrd(tmp_path / "in.nrrd", stored, spacing=(2.5, 2.5, 3.0))
    ran = run(
        "denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", "--sigma", "400",
        "--progress", "jsonl",
    )  # fmt: skip
    codes = {e["code"] for e in events(ran.out) if e["event"] == "warning"}
    assert codes == {"spacing", "units", "noise_level"}
    good = nrrd(tmp_path / "good.nrrd", body(2))
    ran = run("denoise", good, "-o", tmp_path / "g.nrrd", "--modality", "ct", *NOISE, "--progress", "jsonl")
    assert [e for e in events(ran.out) if e["event"] == "warning"] == []


def test_a_dry_run_plans_in_events(run: Callable, tmp_path: Path) -> None:
    source = nrrd(tmp_path / "in.nrrd", body(2))
    ran = run(
        "denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", "--dry-run", "--progress", "jsonl"
    )
    assert [e["path"] for e in events(ran.out) if e["event"] == "plan"] == [str(tmp_path / "o.nrrd")]
    assert events(ran.out)[-1] == {"event": "done", "exit_code": 0}
    assert not (tmp_path / "o.nrrd").exists()
    (tmp_path / "o.nrrd").write_bytes(b"there")
    ran = run(
        "denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", "--dry-run", "--progress", "jsonl"
    )
    assert ran.code == 5
    *_, error, done = events(ran.out)
    assert (error["event"], error["code"]) == ("error", "refused")
    assert "the output exists" in error["text"]
    assert done == {"event": "done", "exit_code": 5}


def test_simulate_tells_its_path_in_an_event(run: Callable, tmp_path: Path) -> None:
    source = mr_nifti(tmp_path / "scan_T1w.nii.gz")
    ran = run("simulate", "mr", source, "-o", tmp_path / "out", "--sigma", "6%", "--progress", "jsonl")
    assert ran.code == 0, ran.err
    assert Path(events(ran.out)[-1]["path"]).is_file()


# A file as the output


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.float32, np.float64, np.uint8], ids=str)
def test_a_file_keeps_type_and_grid(run: Callable, tmp_path: Path, kind: type) -> None:
    values = (np.clip(body(3) + 1024, 0, None) / (8 if kind is np.uint8 else 1)).astype(kind)
    source = nrrd(tmp_path / "ein é" / "in.nrrd", values)
    target = tmp_path / "ein é" / "out.nrrd"
    ran = run("denoise", source, "-o", target, "--modality", "mr", *NOISE)
    assert ran.code == 0, ran.err
    assert ran.lines == [str(target)]
    assert tree(tmp_path / "ein é") == ["in.nrrd", "out.nrrd"]  # no report, no remains
    old, new = (sitk.ReadImage(str(path)) for path in (source, target))
    assert new.GetPixelID() == old.GetPixelID()
    for get in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        np.testing.assert_allclose(getattr(new, get)(), getattr(old, get)(), atol=1e-9)
    assert np.linalg.det(np.reshape(new.GetDirection(), (3, 3))) == pytest.approx(-1)
    assert not np.array_equal(values_of(target), values)
    limits = (values.min(), values.max())
    assert limits[0] <= values_of(target).min() <= values_of(target).max() <= limits[1]


def test_integers_are_rounded_to_the_nearest(run: Callable, tmp_path: Path) -> None:
    whole = body(3)
    args = ("--modality", "ct", *NOISE)
    one = nrrd(tmp_path / "a.nrrd", whole)
    two = nrrd(tmp_path / "b.nrrd", whole.astype(np.float32))
    for source in (one, two):
        assert run("denoise", source, "-o", tmp_path / f"{source.stem}_out.nrrd", *args).code == 0
    stored, exact = (values_of(tmp_path / f"{name}_out.nrrd") for name in ("a", "b"))
    assert np.abs(exact - np.rint(exact)).max() > 0.3  # there is something to round
    assert np.abs(stored - exact).max() <= 0.5 + 1e-4


def test_nan_and_infinity_come_back(run: Callable, tmp_path: Path) -> None:
    values = body(3).astype(np.float32)
    values[1, 10:14, 20:24], values[2, 40, 40] = np.nan, np.inf
    source = nrrd(tmp_path / "in.nrrd", values)
    assert run("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", *NOISE).code == 0
    new = values_of(tmp_path / "o.nrrd")
    assert np.array_equal(np.isnan(new), np.isnan(values))
    assert np.array_equal(np.isinf(new), np.isinf(values))


def test_maps_lie_beside_the_file(run: Callable, tmp_path: Path) -> None:
    source = nrrd(tmp_path / "in" / "in.nrrd", body(3))
    target = tmp_path / "out" / "new.nrrd"
    ran = run(
        "denoise", source, "-o", target, "--modality", "ct", *NOISE, "--save-residual", "--save-uncertainty",
        "--progress", "jsonl",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert tree(tmp_path / "out") == ["new.nrrd", "new_residual.nrrd", "new_uncertainty.nrrd"]
    (result,) = [e for e in events(ran.out) if e["event"] == "result"]
    assert result["outputs"]["residual"] == str(tmp_path / "out" / "new_residual.nrrd")
    total = values_of(target) + values_of(result["outputs"]["residual"])
    assert np.abs(total - body(3)).max() <= 0.5 + 1e-3
    assert values_of(result["outputs"]["uncertainty"]).max() > 0


@pytest.mark.parametrize("name", ["o.nhdr", "o.nrrd", "o.mha", "o.nii", "o.nii.gz"])
def test_a_series_as_a_file_of_any_format(run: Callable, tmp_path: Path, name: str) -> None:
    source = ct_series(tmp_path / "in")
    ran = run("denoise", source, "-o", tmp_path / "out" / name, *NOISE)
    assert ran.code == 0, ran.err
    beside = ["o.json"] if ".nii" in name else []
    assert tree(tmp_path / "out") == sorted([*beside, name])
    image = sitk.ReadImage(str(tmp_path / "out" / name))
    assert image.GetSize() == (64, 64, 4)
    assert run("denoise", source, "-o", tmp_path / "out" / name, *NOISE).code == 5  # it exists


def test_a_detached_name_holds_it_all(run: Callable, tmp_path: Path) -> None:
    """NRRD allows the voxels in a ``.nhdr``; one file can be put in place at once, two cannot."""
    source = nrrd(tmp_path / "in" / "in.nrrd", body(2))
    args = ("--modality", "ct", *NOISE, "--save-residual")
    assert run("denoise", source, "-o", tmp_path / "out" / "o.nhdr", *args).code == 0
    assert tree(tmp_path / "out") == ["o.nhdr", "o_residual.nhdr"]
    assert values_of(tmp_path / "out" / "o.nhdr").shape == (2, 64, 64)


def test_a_file_takes_one_scan(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in" / "a")
    ct_series(tmp_path / "in" / "b", series="2")
    for scans in ((tmp_path / "in",), (tmp_path / "in" / "a", tmp_path / "in" / "b")):
        ran = run("denoise", *scans, "-o", tmp_path / "o.nrrd", *NOISE)
        assert ran.code == 2
        assert "folder" in ran.sentence
    one = tmp_path / "in" / "a"
    assert "--report" in run("denoise", one, "-o", tmp_path / "o.nrrd", *NOISE, "--report").sentence
    assert "another format" in run("denoise", one, "-o", tmp_path / "o.nrrd", "-f", "nifti").sentence
    assert not (tmp_path / "o.nrrd").exists()


# A region


@pytest.mark.parametrize("mode", ["mean", "natural", "sample"])
def test_a_region_is_that_of_the_whole_scan(run: Callable, tmp_path: Path, mode: str) -> None:
    values = body(6).astype(np.float32)
    source = nrrd(tmp_path / "in.nrrd", values)
    args = ("--modality", "ct", "--mode", mode, "--seed", "3", "--save-residual")
    assert run("denoise", source, "-o", tmp_path / "all.nrrd", *args).code == 0
    ran = run("denoise", source, "-o", tmp_path / "part.nrrd", *args, "--roi", "10,50,20,40,2,4", "-v")
    assert ran.code == 0, ran.err
    everything, part = values_of(tmp_path / "all.nrrd"), values_of(tmp_path / "part.nrrd")
    inside = np.zeros(values.shape, bool)
    inside[2:4, 20:40, 10:50] = True
    assert np.array_equal(part[inside], everything[inside])
    assert np.array_equal(part[~inside], values[~inside])
    assert not np.array_equal(everything[~inside], values[~inside])
    assert not values_of(tmp_path / "part_residual.nrrd")[~inside].any()


def test_a_region_follows_the_axes_of_the_file(run: Callable, tmp_path: Path) -> None:
    """Slices lie along the file's first axis here, its coarsest; the region still counts along i, j, k."""
    values = np.ascontiguousarray(body(6).T).astype(np.float32)  # [k, j, i], i the slices
    source = nrrd(tmp_path / "in.nrrd", values, spacing=(3.0, 0.7, 0.7))
    args = ("--modality", "ct", *NOISE)
    assert run("denoise", source, "-o", tmp_path / "all.nrrd", *args).code == 0
    assert run("denoise", source, "-o", tmp_path / "part.nrrd", *args, "--roi", "2,4,20,40,10,50").code == 0
    everything, part = values_of(tmp_path / "all.nrrd"), values_of(tmp_path / "part.nrrd")
    inside = np.zeros(values.shape, bool)
    inside[10:50, 20:40, 2:4] = True
    assert np.array_equal(part[inside], everything[inside])
    assert np.array_equal(part[~inside], values[~inside])


@pytest.mark.parametrize(
    ("roi", "code"),
    [("0,64,0,64,0,7", 5), ("3,3,0,64,0,2", 5), ("5,4,0,1,0,1", 5), ("1,2,3", 2), ("a,b,c,d,e,f", 2)],
)  # fmt: skip
def test_a_region_that_is_none(run: Callable, tmp_path: Path, roi: str, code: int) -> None:
    source = nrrd(tmp_path / "in.nrrd", body(6))
    ran = run("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", *NOISE, "--roi", roi)
    assert ran.code == code
    assert f"Received: {roi}" in ran.sentence
    assert tree(tmp_path) == ["in.nrrd"]


def test_a_region_is_told_in_the_header(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    whole = run("denoise", source, "-o", tmp_path / "a", *NOISE)
    part = run("denoise", source, "-o", tmp_path / "b", *NOISE, "--roi", "0,30,5,64,1,3")
    one, two = (pydicom.dcmread(next(Path(r.lines[0]).iterdir())) for r in (whole, part))
    assert "only voxels i 0:30, j 5:64, k 1:3" in two.DerivationDescription
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert (
        "--roi" in run("denoise", source, "-o", tmp_path / "c", "--roi", "0,1,0,1,0,1", "--report").sentence
    )


# Devices


def test_a_gpu_that_is_not_there_is_refused(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr("openvino.Core", _cores([]))
    source = nrrd(tmp_path / "in.nrrd", body(2))
    args = ("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", *NOISE, "--device")
    ran = run(*args, "gpu", "--progress", "jsonl")
    assert ran.code == 7
    (error,) = [e for e in events(ran.out) if e["event"] == "error"]
    assert error["code"] == "model_or_engine"
    assert "No engine can use a GPU" in error["text"]
    assert "--device cpu" in error["hint"]
    ran = run(*args, "cpu", "--progress", "jsonl")
    assert ran.code == 0, ran.err


def test_a_gpu_that_is_there_is_used(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr("openvino.Core", _cores(compiled, "GPU.0"))
    source = nrrd(tmp_path / "in.nrrd", body(2))
    args = ("denoise", source, "-o", tmp_path / "o.nrrd", "--modality", "ct", *NOISE, "--progress", "jsonl")
    told = events(run(*args, "--device", "gpu").out)
    assert next(e["device"] for e in told if e["event"] == "start") == "Imagined GPU"
    assert set(compiled) == {"GPU.0"}


def _cores(compiled: list[str], *gpus: str) -> type:
    """OpenVINO on a machine with such GPUs, whose work the CPU does."""
    from openvino import Core as Real

    class Core:
        def __init__(self) -> None:
            self._core = Real()
            self.available_devices = ["CPU", *gpus]

        def get_property(self, place: str, name: str) -> object:
            return "Imagined GPU" if place in gpus else self._core.get_property(place, name)

        def read_model(self, *args: object) -> object:
            return self._core.read_model(*args)

        def compile_model(self, model: object, place: str, options: dict) -> object:
            compiled.append(place)
            return self._core.compile_model(model, "CPU", options)

    return Core


# Doctor


def test_doctor_tells_a_program_everything(run: Callable) -> None:
    ran = run("doctor", "--json", "--engine", "openvino")
    facts = json.loads(ran.out)
    assert ran.code == 0
    assert facts["protocol"] == 1
    assert Path(facts["python"]).exists()
    assert facts["versions"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert [e["name"] for e in facts["engines"]] == ["openvino"]
    assert facts["devices"][0] == {"device": "cpu", "engines": ["openvino"]}
    assert 0 < facts["memory_gb"]["available"] <= facts["memory_gb"]["total"]
    model = facts["models"][0]
    assert model["licence"] == "Apache-2.0"
    assert model["attribution"] == ["Somebody's scans, CC BY 4.0"]
    assert model["trained"]["pixel_mm"] == [0.4, 1.2]
    assert facts["problems"] == []


def test_a_quick_look_starts_tensorflow_only_where_it_counts(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medidiff.engines import select

    looked: list[str] = []
    real = select.available

    def available(names: list[str]) -> tuple:
        looked.extend(names)
        return real([n for n in names if n != "tensorflow"])

    monkeypatch.setattr(select, "available", available)
    monkeypatch.setattr("medidiff.engines.select.Path.exists", lambda path: False)
    assert run("doctor", "--json", "--engine", "auto").code == 0
    assert looked == ["openvino", "onnxruntime", "tract"]
    monkeypatch.setattr("medidiff.engines.select.Path.exists", lambda path: True)
    run("doctor", "--json", "--engine", "auto")
    assert looked[-1] == "tensorflow"


def test_doctor_explains_what_is_wrong(
    run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setenv("MEDIDIFF_HOME", str(tmp_path))
    ran = run("doctor", "--json", "--engine", "onnxruntime")
    assert ran.code == 7
    engine, model = json.loads(ran.out)["problems"]
    assert "pip install 'medidiff[onnx]'" in engine
    assert "MEDIDIFF_HOME" in model


# Derive


def derivation(tmp_path: Path, run: Callable, source: Path, *args: object) -> tuple[Path, Path]:
    """A denoised file of a series, and the derivation that it came with."""
    ran = run("denoise", source, "-o", tmp_path / "d.nrrd", *NOISE, *args, "--progress", "jsonl")
    assert ran.code == 0, ran.err
    (result,) = [e for e in events(ran.out) if e["event"] == "result"]
    (tmp_path / "d.json").write_text(json.dumps(result["derivation"]))
    return tmp_path / "d.nrrd", tmp_path / "d.json"


@pytest.mark.parametrize("flips", [(False,) * 3, (False, False, True), (True, True, False)])
def test_kept_voxels_become_the_series_that_denoise_writes(
    run: Callable, tmp_path: Path, flips: tuple[bool, ...]
) -> None:
    source = ct_series(tmp_path / "in")
    voxels, how = derivation(tmp_path, run, source)
    sitk.WriteImage(sitk.Flip(sitk.ReadImage(str(voxels)), flips), str(voxels))
    expected = run("denoise", source, "-o", tmp_path / "a", *NOISE)
    listed = tmp_path / "list é.txt"
    listed.write_text("\n".join(map(str, source.iterdir())), encoding="utf-8")
    ran = run(
        "derive",
        voxels,
        "--sources",
        listed,
        "--derivation",
        how,
        "-o",
        tmp_path / "b",
        "--progress",
        "jsonl",
    )
    assert ran.code == 0, ran.err
    told = events(ran.out)
    assert [e["event"] for e in told if e["event"] != "progress"] == ["hello", "result", "done"]
    files = next(e["files"] for e in told if e["event"] == "result")
    ours = sorted(map(pydicom.dcmread, files), key=lambda d: d.InstanceNumber)
    others = sorted(map(pydicom.dcmread, Path(expected.lines[0]).iterdir()), key=lambda d: d.InstanceNumber)
    assert len(ours) == 4
    for a, b in zip(ours, others, strict=True):
        assert np.array_equal(a.pixel_array, b.pixel_array)
        assert a.SOPInstanceUID == b.SOPInstanceUID
        assert a.DerivationDescription == b.DerivationDescription
        assert a.ImagePositionPatient == b.ImagePositionPatient


def test_voxels_of_another_grid_are_refused(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in")
    voxels, how = derivation(tmp_path, run, source)
    image = sitk.ReadImage(str(voxels))
    moved, smaller = sitk.Image(image), image[:, :, :3]
    moved.SetOrigin([x + 1.0 for x in image.GetOrigin()])
    turned = sitk.Image(image)
    turned.SetDirection((0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1))
    for other in (moved, smaller, turned):
        sitk.WriteImage(other, str(voxels))
        ran = run("derive", voxels, source, "--derivation", how, "-o", tmp_path / "out")
        assert ran.code == 5
        assert "do not lie on the voxels of their source" in ran.sentence
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_dicom_cannot_hold_is_refused(run: Callable, tmp_path: Path, value: float) -> None:
    source = ct_series(tmp_path / "in")
    voxels, how = derivation(tmp_path, run, source)
    image = sitk.ReadImage(str(voxels))
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    array[1, 30, 28:32] = value
    broken = sitk.GetImageFromArray(array)
    broken.CopyInformation(image)
    sitk.WriteImage(broken, str(voxels))
    ran = run("derive", voxels, source, "--derivation", how, "-o", tmp_path / "out")
    assert ran.code == 5
    assert "4 of the values are NaN or infinite" in ran.sentence
    assert not (tmp_path / "out").exists()


def test_nan_in_the_padding_of_the_source_is_no_loss(run: Callable, tmp_path: Path) -> None:
    def outside(ds: pydicom.Dataset, _: int) -> None:
        ds.PixelPaddingValue = -2000

    stored = body()
    stored[:, :, :6] = -2000
    source = ct_series(tmp_path / "in", stored=stored, change=outside)
    voxels, how = derivation(tmp_path, run, source)
    image = sitk.ReadImage(str(voxels))
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    array[:, :, :6] = np.nan
    masked = sitk.GetImageFromArray(array)
    masked.CopyInformation(image)
    sitk.WriteImage(masked, str(voxels))
    ran = run("derive", voxels, source, "--derivation", how, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    for path in Path(ran.lines[0]).iterdir():
        assert (pydicom.dcmread(path).pixel_array[:, :6] == -2000).all()


def test_a_list_of_sources_in_another_encoding(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in é")
    voxels, how = derivation(tmp_path, run, source)
    listed = tmp_path / "list.txt"
    args = ("derive", voxels, "--sources", listed, "--derivation", how, "-o", tmp_path / "out")
    listed.write_text(str(source), encoding="latin-1")
    ran = run(*args)
    assert ran.code == 2
    assert "list.txt: The list of sources is no UTF-8 text." in ran.sentence
    assert "0xe9" in ran.sentence
    listed.write_text(str(source), encoding="utf-8-sig")  # as Windows editors save it
    assert run(*args).code == 0


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", "{}", '{"model_id": "x", "steps": "4"}', '{"model_id": "x", "steps": true}',
     '{"model_id": "x", "made_up": 1}', '{"model_id": "x", "strength": NaN}',
     '{"model_id": "x", "operation": "simulate"}', '{"model_id": 7}'],
)  # fmt: skip
def test_a_derivation_that_is_none(run: Callable, tmp_path: Path, text: str) -> None:
    source = ct_series(tmp_path / "in")
    voxels, how = derivation(tmp_path, run, source)
    how.write_text(text)
    ran = run("derive", voxels, source, "--derivation", how, "-o", tmp_path / "out")
    assert ran.code == 2
    assert ran.sentence
    assert not (tmp_path / "out").exists()


def test_derive_needs_one_dicom_series(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in" / "a")
    voxels, how = derivation(tmp_path, run, source)
    ct_series(tmp_path / "in" / "b", series="2")
    args = ("--derivation", how, "-o", tmp_path / "out")
    assert "there are 2" in run("derive", voxels, tmp_path / "in", *args).sentence
    assert "no DICOM series" in run("derive", voxels, voxels, *args).sentence
    assert "source is missing" in run("derive", voxels, *args).sentence
    assert not (tmp_path / "out").exists()


def test_an_error_says_what_and_what_to_do_apart() -> None:
    error = MedidiffError("is bad.", where="a.nii", received=3, hint="Do this.")
    assert error.sentence == "a.nii: is bad. Received: 3."
    assert str(error) == "a.nii: is bad. Received: 3. Do this."
