"""The verbs around denoising: inspect, simulate, evaluate, models, doctor, train."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_scans import body, ct_series, mr_nifti, tree

ENGINES = {"openvino", "onnx", "onnxruntime", "tensorflow", "keras", "tract", "jax"}


# inspect


def test_inspect_shows_series_and_skips(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "in" / "ct", slices=4, shape=(128, 128))
    mr_nifti(tmp_path / "in" / "scan_T1w.nii.gz")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    ran = run("inspect", tmp_path / "in")
    assert ran.code == 0, ran.err
    assert "128 128 4" in ran.out
    assert "0.8 0.7 3" in ran.out
    assert "1 file: not an image file" in ran.out
    assert "noise SD" not in ran.out
    assert "noise SD" in run("inspect", tmp_path / "in", "--noise").out
    ran = run("inspect", tmp_path / "in", "--json", "--noise")
    found = json.loads(ran.out)
    ct, mr = (next(s for s in found["series"] if s["modality"] == m) for m in ("CT", "MR"))
    assert ct["shape_zyx"] == [4, 128, 128]
    assert ct["spacing_zyx_mm"] == [3.0, 0.7, 0.8]
    assert ct["noise"]["unit"] == "HU"
    assert ct["noise"]["sigma"] == pytest.approx(20.0, rel=0.25)  # the phantom's noise
    assert mr["shape_zyx"] == [3, 40, 48]
    assert found["skipped"] == [
        {
            "code": "NOT_AN_IMAGE",
            "reason": "not an image file",
            "detail": "",
            "files": 1,
            "paths": [str(tmp_path / "in" / "notes.txt")],
        }
    ]
    assert "Doe" not in ran.out


def test_inspect_tells_series_of_one_name_apart(run: Callable, tmp_path: Path) -> None:
    ct_series(tmp_path / "a", slices=2)
    first = run("inspect", tmp_path, "-v").out
    assert " path " in first
    assert f" {tmp_path / 'a'} " in first
    assert " path " not in run("inspect", tmp_path).out
    ct_series(tmp_path / "b", slices=2, series="other")
    both = run("inspect", tmp_path).out
    assert f" {tmp_path / 'a'} " in both
    assert f" {tmp_path / 'b'} " in both


def test_inspect_counts_volumes_apart_from_slices(run: Callable, tmp_path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.ones((7, 6, 5, 4), np.int16), np.diag([1, 2, 3, 1])), tmp_path / "T1w.nii")
    ran = run("inspect", tmp_path)
    assert "7 6 5 x4" in ran.out
    assert "7x6x5x4" in run("denoise", tmp_path, "-o", tmp_path / "out", "--dry-run").err


def test_inspect_without_noise_reads_no_pixels(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object) -> None:
        raise AssertionError("pixels were read")

    importlib.import_module("medidiff.batch")  # lest it keeps the forbidden one for the tests to come
    monkeypatch.setattr("medidiff.io.read", forbidden)
    source = ct_series(tmp_path / "in")
    found = json.loads(run("inspect", source, "--json").out)
    assert "noise" not in found["series"][0]


@pytest.mark.parametrize(("name", "code"), [("empty", 3), ("text", 3), ("truncated", 5)])
def test_inspect_of_nothing(run: Callable, tmp_path: Path, name: str, code: int) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    if name == "text":
        (folder / "a.txt").write_text("hello")
    if name == "truncated":
        path = sorted(ct_series(folder, slices=1).iterdir())[0]
        path.write_bytes(path.read_bytes()[:-500])
    ran = run("inspect", folder, "-q")
    assert ran.code == code
    assert ran.sentence
    assert json.loads(run("inspect", folder, "--json").out)["series"] == []


def test_inspect_imports_no_engine(tmp_path: Path, environment: dict[str, str]) -> None:
    source = ct_series(tmp_path / "in", shape=(128, 128))
    code = (
        "import sys\nfrom medidiff.cli.main import main\n"
        f"sys.argv = ['medidiff', 'inspect', {str(source)!r}, '--json', '--noise']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["series"][0]["noise"]["sigma"] > 0
    assert not set(done.stderr.split()) & ENGINES


# simulate


def test_simulate_says_what_is_wrong(run: Callable, tmp_path: Path) -> None:
    source = ct_series(tmp_path / "in", slices=1)
    out = ("-o", tmp_path / "out")
    for args, code, part in (
        (("ct", source, *out), 2, "either --dose or --sigma"),
        (("ct", source, *out, "--dose", "0.5", "--sigma", "9"), 2, "either --dose or --sigma"),
        (("ct", source, *out, "--dose", "1.5"), 2, "--dose"),
        (("ct", source, *out, "--sigma", "-3"), 2, "Received: -3"),
        (("ct", source, *out, "--sigma", "6%"), 2, "in HU"),
        (("ct", source, *out, "--dose", "0.5", "--kernel", "hard"), 2, "Received: hard"),
        (("mr", source, *out, "--sigma", "6%"), 5, "no MR scan"),
        (("ct", source, *out, "--sigma", "9", "--full-sigma", "5"), 2, "goes with --dose"),
        (("ct", mr_nifti(tmp_path / "x.nii.gz"), *out, "--sigma", "9"), 5, "x.nii.gz: does not tell"),
        (("mr", source, *out), 2, "--sigma"),
    ):
        ran = run("simulate", *args)
        assert ran.code == code, args
        assert part in ran.sentence
    assert tree(tmp_path / "out") == []


# evaluate


def test_evaluate_prints_figures_and_protocol(run: Callable, tmp_path: Path) -> None:
    clean = body(2, sd=0.0)
    noisy = clean.copy()
    noisy[:, ::2] += 10
    noisy[:, 1::2] -= 10
    reference = ct_series(tmp_path / "clean", slices=2, stored=clean)
    test = ct_series(tmp_path / "noisy", slices=2, stored=noisy)
    ran = run("evaluate", "--reference", reference, "--test", test, "--test", reference,
              "--json", tmp_path / "f.json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "window abdomen (C 50 W 400)" in ran.out
    content = json.loads((tmp_path / "f.json").read_text())
    first, same = content["tests"]
    # +-10 HU: in the abdomen window the disc differs by 10/400, and the air is clipped to 0 in both.
    inside = (clean > -500).mean()
    assert first["psnr"]["mean"] == pytest.approx(-10 * np.log10(inside * (10 / 400) ** 2), abs=1e-4)
    assert first["rmse"]["mean"] == pytest.approx(10.0, rel=1e-6)
    assert same["psnr"]["identical_slices"] == 2
    assert same["ssim"]["mean"] == pytest.approx(1.0)
    ran = run("evaluate", "--reference", reference, "--test", test, "--window", "40,80", "--json", "-")
    assert json.loads(ran.out)["tests"][0]["protocol"]["window"]["width"] == 80


def test_evaluate_of_another_grid_is_one_sentence(run: Callable, tmp_path: Path) -> None:
    reference = ct_series(tmp_path / "a", slices=2)
    other = ct_series(tmp_path / "b", slices=3)
    ran = run("evaluate", "--reference", reference, "--test", other)
    assert ran.code == 5
    assert "shapes" in ran.sentence
    assert str(other) in ran.sentence


def test_evaluate_says_what_is_wrong(run: Callable, tmp_path: Path) -> None:
    reference = ct_series(tmp_path / "a", slices=2)
    two = tmp_path / "two"
    ct_series(two / "1", slices=2)
    ct_series(two / "2", slices=2, series="2")
    (tmp_path / "empty").mkdir()
    for args, code, part in (
        (("--reference", reference, "--test", two), 2, "one series"),
        (("--reference", reference, "--test", tmp_path / "empty"), 3, "no CT or MR"),
        (("--reference", reference, "--test", reference, "--window", "liver"), 2, "Received: liver"),
        (("--reference", reference, "--test", reference, "--json", reference / "IM000.dcm"), 1, "stays"),
        (("--reference", reference), 2, "--test"),
    ):
        ran = run("evaluate", *args)
        assert ran.code == code, args
        assert part in ran.sentence


# models


def test_models_list_show_verify(run: Callable, model_home: Path) -> None:
    listed = json.loads(run("models", "list", "--json").out)
    assert [m["name"] for m in listed] == ["ct", "mr"]
    assert all(m["licence"] == "Apache-2.0" and m["problem"] is None for m in listed)
    assert "Apache-2.0" in run("models", "list").out
    assert "Research use only" in run("models", "show", "ct").out
    ran = run("models", "verify", "-v")
    assert ran.code == 0
    assert listed[0]["sha256"] in ran.out
    assert "weights fit" in ran.out
    ran = run("models", "show", "cat")
    assert ran.code == 7
    assert "no such model" in ran.sentence


def test_models_verify_finds_damage(run: Callable, model_home: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(model_home / "models" / "ct", tmp_path / "mine")
    (tmp_path / "mine" / "CARD.md").write_text("something else")
    ran = run("models", "verify", tmp_path / "mine")
    assert ran.code == 7
    assert "sha256" in ran.sentence


def test_models_export(run: Callable, model_home: Path, tmp_path: Path) -> None:
    ran = run("models", "export", "ct", "-o", tmp_path / "net.onnx")
    assert ran.lines == [str(tmp_path / "net.onnx")]
    assert (tmp_path / "net.onnx").read_bytes() == (
        model_home / "models" / "ct" / "network.onnx"
    ).read_bytes()
    assert run("models", "export", "ct", "-o", tmp_path / "net.onnx").code == 1
    assert run("models", "export", "ct", "-o", tmp_path / "net.onnx", "--overwrite").code == 0
    ran = run("models", "export", "ct", "--format", "openvino", "-o", tmp_path / "net.onnx")
    assert ran.code == 2
    assert ".xml" in ran.sentence


def test_models_export_to_openvino_gives_the_same_answer(
    run: Callable, model_home: Path, tmp_path: Path
) -> None:
    openvino = pytest.importorskip("openvino")
    ran = run("models", "export", "ct", "--format", "openvino", "-o", tmp_path / "ir" / "net.xml")
    assert ran.code == 0, ran.err
    assert tree(tmp_path / "ir") == ["net.bin", "net.xml"]
    from networks import random_inputs

    from medidiff.models import load

    bundle = load(model_home / "models" / "ct")
    inputs = random_inputs(bundle.config, 1, 32, 32)
    core, options = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    a, b = (
        core.compile_model(m, "CPU", options)(inputs)[0]
        for m in (str(tmp_path / "ir" / "net.xml"), core.read_model(bundle.network, b""))
    )
    assert np.abs(a - b).max() < 1e-5


# doctor


def test_doctor_tells_engines_models_codecs(
    run: Callable, model_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # keeps this quick, and shows a missing engine
    ran = run("doctor", "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["versions"]["medidiff"]
    engines = {e["name"]: e for e in facts["engines"]}
    assert engines["openvino"]["missing"] is None
    assert "pip install" in engines["tensorflow"]["missing"]
    assert {m["name"] for m in facts["models"]} == {"ct", "mr"}
    assert all(c["decoders"] for c in facts["codecs"])
    assert facts["ct_projector"]["used"] in ("astra", "skimage")
    text = run("doctor").out
    assert "openvino" in text
    assert "JPEG-LS" in text


def test_doctor_ends_with_7_without_a_model(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setenv("MEDIDIFF_HOME", str(tmp_path))
    ran = run("doctor")
    assert ran.code == 7
    assert "no model" in ran.sentence


# train

MR = """name = "x"
modality = "mr"
[data]
sigma = [0.01, 0.22]
low_sigma = 0.002
pack = "scans.pack"
"""
"""With a pack, so that no scan is looked for."""


def test_train_without_tensorflow_is_one_sentence(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(MR)
    monkeypatch.setattr("medidiff.cli.train.find_spec", lambda name: None)
    ran = run("train", config)
    assert ran.code == 7
    assert "TensorFlow" in ran.sentence
    assert "medidiff[train]" in ran.sentence


@pytest.mark.parametrize(
    ("text", "part"),
    [("name = ", "TOML"), ('name = "x"\nmodality = "pet"\n', "ct or mr"), ('name = "x"\nsped = 1\n', "sped")],
)
def test_train_with_a_bad_configuration(run: Callable, tmp_path: Path, text: str, part: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(text)
    ran = run("train", config)
    assert ran.code == 2
    assert part in ran.sentence


@pytest.mark.parametrize("progress", ["none", "jsonl"])
def test_train_runs_the_trainer_and_tells_its_progress(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progress: str
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f"{MR}[optimiser]\nsteps = 200\n")
    seen: dict[str, object] = {}

    class Trainer:
        folder = Path("runs/x")
        changes = ("optimiser.steps 100 -> 200",)

        def __init__(self, config: object, *, resume: bool, start: object, report: Callable) -> None:
            seen.update(config=config, resume=resume, start=start)
            self.report = report

        def run(self) -> dict[str, float]:
            self.report({"step": 100, "loss": 0.25, "steps_per_second": 2.0})
            return {"step": 200, "gain": 3.5}

    monkeypatch.setattr("medidiff.cli.train.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "medidiff.training.trainer", type(sys)("medidiff.training.trainer"))
    monkeypatch.setattr(sys.modules["medidiff.training.trainer"], "Trainer", Trainer, raising=False)
    monkeypatch.chdir(tmp_path)
    Trainer.folder.mkdir(parents=True)
    (Trainer.folder / "checkpoint.npz").touch()
    ran = run("train", config, "--resume", "--progress", progress)
    assert ran.code == 0, ran.err
    assert seen["resume"] is True
    assert seen["start"] is None
    assert seen["config"].optimiser.steps == 200
    if progress == "none":
        assert ran.out == "runs/x\n"
        assert "step 100/200, loss 0.25, 2.00 steps/s, 1 min left" in ran.err
        assert "resumed with other settings: optimiser.steps 100 -> 200" in ran.err
        assert "finished; step 200/200, gain 3.5" in ran.err
    else:
        going, made = (json.loads(line.removeprefix("@medidiff ")) for line in ran.out.splitlines())
        assert going["fraction"] == 0.5
        assert made == {"event": "result", "path": "runs/x"}


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to stand in for a full disk")
@pytest.mark.parametrize("kind", ["openvino", "onnx"])
def test_a_full_disk_ends_an_export_with_one_sentence(
    environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """The kernel's file size limit makes a real write fail in the middle of the output."""
    pytest.importorskip("openvino")
    file = tmp_path / {"openvino": "net.xml", "onnx": "net.onnx"}[kind]
    script = (
        "import resource\n"
        "from medidiff.cli.main import main\n"
        "import openvino\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))\n"
        f"main(['models', 'export', 'ct', '--format', {kind!r}, '-o', {str(file)!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"medidiff: error: {tmp_path}{os.sep}net.")
    assert "cannot be written: the disk is full" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
