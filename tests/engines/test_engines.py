"""Engines agree with each other, do what they say, and say in one sentence when they are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import TINY, random_inputs, tiny_bundle

from medidiff.engines import EngineInfo, EngineSettings, agreement, available, create
from medidiff.engines.openvino import STATIC_SHAPES, OpenVINOEngine
from medidiff.engines.select import ENGINES
from medidiff.engines.tract import SHAPES, TractEngine
from medidiff.errors import EngineError, UsageError
from medidiff.models import Bundle, save

pytest.importorskip("onnx", reason="onnx is not installed")
ONE = EngineSettings(threads=1, precision="float32")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle()


def has_bf16() -> bool:
    return any("bfloat16" in info.precisions for info in available_without_tensorflow())


def available_without_tensorflow() -> list[EngineInfo]:
    from medidiff.engines import openvino

    try:
        return [openvino.probe()]
    except EngineError:
        return []


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "tract"])
@pytest.mark.parametrize("shape", [(1, 24, 40), (3, 16, 16)])
def test_engine_agrees_with_tensorflow(name: str, shape: tuple[int, int, int], bundle: Bundle) -> None:
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    pytest.importorskip(name, reason=f"{name} is not installed")
    inputs = random_inputs(TINY, *shape)
    output = create(name, bundle, ONE)(*inputs)
    expected = create("tensorflow", bundle, ONE)(*inputs)
    assert output.shape == (shape[0], 2, *shape[1:])
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, atol=2e-5)


@pytest.mark.parametrize("name", [n for n in ENGINES if n != "tensorflow"])
def test_outputs_are_not_overwritten_by_the_next_call(name: str, bundle: Bundle) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    engine = create(name, bundle, ONE)
    planes, condition = random_inputs(TINY, 1, 16, 24)
    first = engine(planes, condition)
    copy = first.copy()
    engine(planes + 1, condition)
    np.testing.assert_array_equal(first, copy)
    np.testing.assert_array_equal(engine(planes, condition), copy)  # same input, same bytes


def test_many_shapes_compile_few_graphs(bundle: Bundle) -> None:
    engine, reference = OpenVINOEngine(bundle, ONE), create("onnxruntime", bundle, ONE)
    for n, h, w in [(1, 8, 8), (1, 16, 8), (1, 24, 8), (2, 8, 16), (1, 8, 8), (3, 24, 16)]:
        inputs = random_inputs(TINY, n, h, w)
        np.testing.assert_allclose(engine(*inputs), reference(*inputs), atol=2e-5)
    assert len(engine._requests) == STATIC_SHAPES + 1


def test_tract_keeps_the_latest_graphs(bundle: Bundle) -> None:
    pytest.importorskip("tract", reason="tract is not installed")
    engine = TractEngine(bundle, ONE)
    shapes = [(1, 4, 8 * k, 8) for k in range(1, SHAPES + 2)]
    for shape in [*shapes[:SHAPES], shapes[0], shapes[-1]]:
        engine(*random_inputs(TINY, 1, *shape[2:]))
    assert set(engine._runnables) == set(shapes) - {shapes[1]}


@pytest.mark.skipif(not has_bf16(), reason="this CPU computes no bfloat16 in OpenVINO")
def test_bfloat16_only_where_asked_or_measured(bundle: Bundle) -> None:
    """OpenVINO takes bfloat16 by itself; medidiff only where the bundle says so."""
    inputs = random_inputs(TINY, 1, 64, 64)
    exact = create("onnxruntime", bundle, ONE)
    auto = create("openvino", bundle)
    assert auto.precision == "float32"
    assert agreement(exact, auto, *inputs).relative_rms < 1e-5

    blessed = create("openvino", tiny_bundle(precision={"openvino": "bfloat16"}))
    asked = create("openvino", bundle, EngineSettings(precision="bfloat16"))
    for engine in (blessed, asked):
        assert engine.precision == "bfloat16"
        assert 1e-4 < agreement(exact, engine, *inputs).relative_rms < 0.05


def test_bundle_cannot_give_an_engine_what_it_lacks() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    blessed = tiny_bundle(precision={"onnxruntime": "bfloat16"})
    assert create("onnxruntime", blessed).precision == "float32"
    with pytest.raises(EngineError, match="onnxruntime cannot compute in bfloat16"):
        create("onnxruntime", blessed, EngineSettings(precision="bfloat16"))


def test_agreement_in_closed_form() -> None:
    """Engines that differ by known noise: a constant 0.1 and white noise of SD 0.2 on F."""
    rng = np.random.default_rng(3)
    f, noise = rng.standard_normal((2, 4, 64, 64))
    h = np.full_like(f, np.log(0.5))
    outputs = iter([np.stack([f, h], 1), np.stack([f + 0.1 + 0.2 * noise, h], 1)] * 2)

    def engine(planes: np.ndarray, condition: np.ndarray) -> np.ndarray:
        return next(outputs)

    unused = np.zeros(1)
    found = agreement(engine, engine, unused, unused)  # type: ignore[arg-type]
    assert found.bias == pytest.approx(0.1, abs=0.01)
    assert found.relative_rms == pytest.approx(np.sqrt(0.05), rel=0.03)
    assert found.loss_db == pytest.approx(10 * np.log10(1 + 0.05 / 0.5), rel=0.05)
    assert found.bias_in_units(c_out=0.05, scale=500.0) == pytest.approx(2.5, abs=0.25)
    target = f + rng.standard_normal(f.shape)
    found = agreement(engine, engine, unused, unused, target)  # type: ignore[arg-type]
    assert found.loss_db == pytest.approx(10 * np.log10(1.05), abs=0.05)


@pytest.mark.parametrize("name", list(ENGINES))
def test_missing_engine_is_one_sentence(name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError) as caught:
        create(name, bundle)
    assert str(caught.value).startswith(f"The engine {name} is not installed. Run: pip install 'medidiff")
    assert caught.value.exit_code == 7
    assert "\n" not in str(caught.value)


BROKEN = ["ImportError('libx.so')", "OSError('libx.so')", "AttributeError('x')", "SystemError('x')"]


@pytest.mark.parametrize("name", list(ENGINES))
@pytest.mark.parametrize("error", [*BROKEN, "ModuleNotFoundError('No module', name='absl')"])
def test_a_broken_library_is_one_sentence(
    name: str, error: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its import raises; and the doctor goes on to the other engines."""
    (tmp_path / f"{name}.py").write_text(f"raise {error}")
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EngineError, match=f"engine {name} is installed but does not load. Received: .*pip"):
        create(name, bundle)
    (info,) = available([name])
    assert "does not load" in str(info.missing)


def test_auto_passes_a_broken_library_by(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    (tmp_path / "openvino.py").write_text("raise OSError('libx.so: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert create("auto", bundle, ONE).name == "onnxruntime"


def test_tensorflow_names_its_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(EngineError, match=r"pip install 'medidiff\[train\]'"):
        create("tensorflow", bundle)


def test_available_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorflow", "tract"):
        monkeypatch.setitem(sys.modules, name, None)
    infos = {info.name: info for info in available()}
    assert list(infos) == list(ENGINES)
    assert infos["openvino"].missing is None
    assert "float32" in infos["openvino"].precisions
    assert infos["openvino"].version
    assert infos["tract"].version is None
    assert "not installed" in str(infos["tract"].missing)


def test_auto_takes_the_first_installed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert create("auto", bundle, ONE).name == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert create("auto", bundle, ONE).name == "onnxruntime"
    for name in ("onnxruntime", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError, match="No engine can run the model. The engine openvino"):
        create("auto", bundle)


def test_unknown_engine_suggests(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"Received: openvno. Did you mean openvino\?"):
        create("openvno", bundle)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_network_that_is_none_is_an_engine_error(name: str) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    with pytest.raises(EngineError, match="cannot read the network"):
        create(name, tiny_bundle(network=b"\x00\x01garbage" * 50))


@pytest.mark.parametrize("settings", [{"threads": 0}, {"threads": -2}, {"precision": "int8"}])
def test_senseless_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        EngineSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("planes", "condition"),
    [((1, 3, 8, 8), (1, 16)), ((1, 4, 8, 8), (2, 16)), ((1, 4, 12, 8), (1, 16)), ((0, 4, 8, 8), (0, 16))],
)
def test_wrong_shapes_are_refused(
    planes: tuple[int, ...], condition: tuple[int, ...], bundle: Bundle
) -> None:
    with pytest.raises(ValueError, match="must be"):
        create("openvino", bundle, ONE)(np.zeros(planes, np.float32), np.zeros(condition, np.float32))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_is_heard_after_engines_ended_in_the_order_they_began(
    tmp_path: Path, bundle: Bundle
) -> None:
    """As after a batch with two models; a runtime for each of them left Ctrl-C to end in SIGSEGV."""
    save(bundle, tmp_path / "tiny")
    code = (
        "import os, signal, sys\n"
        "from medidiff.engines.openvino import OpenVINOEngine\n"
        "from medidiff.models import load\n"
        "first, second = (OpenVINOEngine(load(sys.argv[1])) for _ in range(2))\n"
        "del first\n"
        "del second\n"
        "signal.signal(signal.SIGINT, lambda number, frame: print('heard'))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "tiny")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_no_engine_tells_anybody_that_it_was_started(tmp_path: Path, name: str) -> None:
    """Both have telemetry, which is off in test runs (CI); where it is on there is an identifier at home."""
    pytest.importorskip(name)
    code = f"""
import os
from networks import TINY, random_inputs, tiny_bundle
from medidiff.engines import create
bundle, before = tiny_bundle(), dict(os.environ)
create("{name}", bundle)(*random_inputs(TINY, 1, 16, 16))
assert dict(os.environ) == before
"""
    off = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS", "XDG_CACHE_HOME")
    home = {**{k: v for k, v in os.environ.items() if k not in off}, "HOME": str(tmp_path)}
    home["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=home)
    assert done.returncode == 0, done.stderr
    files = [p for p in tmp_path.rglob("*") if p.is_file() and ".keras" not in p.parts]
    assert files == []


def test_threads_that_start_engines_at_once() -> None:
    """Each finds its library, in a process that has not loaded it yet, and the environment as it was."""
    code = """
import os, threading
from concurrent.futures import ThreadPoolExecutor
from medidiff.engines.base import library
before, ready = dict(os.environ), threading.Barrier(4)
def load(name):
    ready.wait()
    return library(name, None)
with ThreadPoolExecutor(4) as pool:
    assert len(set(pool.map(load, ["openvino"] * 4))) == 1
assert dict(os.environ) == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
