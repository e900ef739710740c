"""Bundles: what is saved is what is loaded, and damage of any kind is one clear sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import tiny_bundle

from medidiff.errors import ModelError, OutputError
from medidiff.intensity import Intensity
from medidiff.models import Bundle, list_bundles, load, save, verify
from medidiff.models import store as module
from medidiff.volume import Volume


@pytest.fixture(scope="module")
def original() -> Bundle:
    pytest.importorskip("onnx", reason="onnx is not installed")
    return tiny_bundle()


@pytest.fixture
def folder(original: Bundle, tmp_path: Path) -> Path:
    save(original, tmp_path / "tiny")
    return tmp_path / "tiny"


def rewrite(folder: Path, **changes: object) -> None:
    """Edits bundle.json and signs it again, as a writer with a mistake would."""
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest.update(changes)
    manifest["checksum"] = module._checksum(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))


def test_round_trip(original: Bundle, folder: Path) -> None:
    assert load(folder) == original
    assert load(str(folder)).folder == folder
    assert sorted(p.name for p in folder.iterdir()) == ["CARD.md", "bundle.json", "network.onnx"]
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]  # nothing left of the writing


def test_numpy_numbers_are_saved_as_numbers(original: Bundle, tmp_path: Path) -> None:
    odd = replace(original, sigma_data=np.float32(0.5), uncertainty=((np.float32(0.25), np.float64(2)),))
    back = save(odd, tmp_path / "odd")
    assert back.sigma_data == 0.5
    assert back.uncertainty == ((0.25, 2.0),)


def test_existing_folder_is_kept_unless_overwritten(original: Bundle, folder: Path) -> None:
    changed = replace(original, version="0.2")
    with pytest.raises(OutputError, match="exists already"):
        save(changed, folder)
    assert load(folder).version == "0.1"
    assert save(changed, folder, overwrite=True).version == "0.2"


def test_nothing_but_a_model_is_overwritten(original: Bundle, tmp_path: Path) -> None:
    """A wrong folder after -o must not cost what is in it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("years")
    for name in ("work", "file"):
        with pytest.raises(OutputError, match="no model, so it is not replaced"):
            save(original, tmp_path / name, overwrite=True)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"
    (tmp_path / "empty").mkdir()
    assert save(original, tmp_path / "empty", overwrite=True) == original


def test_failed_overwrite_keeps_the_old_bundle(
    original: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail_for_new(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OutputError, match="No space left"):
        save(replace(original, version="0.2"), folder, overwrite=True)
    assert load(folder).version == "0.1"


@pytest.mark.parametrize("name", ["network.onnx", "CARD.md"])
def test_one_flipped_bit_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name}: The file is damaged"):
        load(folder)


@pytest.mark.parametrize("name", ["network.onnx", "CARD.md"])
def test_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: A file of the model is missing"):
        load(folder)


def test_edited_description_is_refused(folder: Path) -> None:
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.replace('"sigma_data": 0.9', '"sigma_data": 0.8'))
    with pytest.raises(ModelError, match="description is damaged"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '"x"', "\x00", "[" * 200_000])
def test_unreadable_description_is_refused(folder: Path, text: str) -> None:
    (folder / "bundle.json").write_text(text)
    with pytest.raises(ModelError, match="description is unreadable"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "newer medidiff. Received: format 99"),
        ({"modality": "pet"}, "for ct or mr. Received: pet"),
        ({"process": "walk"}, "one of matched, ddpm, prior, bridge, mixing. Received: walk"),
        ({"network": {"channels": [8], "depth": 3}}, "not complete"),
        ({"network": None}, "not complete"),
        ({"sigma_data": "wide"}, "not complete"),
        ({"sigma_data": -1}, "must be positive"),
        ({"sha256": None}, "damaged"),
        ({"name": "../../etc"}, "A model name is"),
        ({"precision": {"openvino": "int3"}}, "float32 or bfloat16. Received: int3"),
        ({"trained": {"sigma": [1]}}, "not complete"),
        ({"sigma_data": float("inf")}, "must be positive"),
        ({"trained": {"sigma": [0.5, 0.1], "kernel": [1, 2], "pixel_mm": [1, 2]}}, "range of sigma"),
        ({"trained": {"sigma": [0.1, 0.5], "kernel": [1, 2], "pixel_mm": [-1, 2]}}, "range of pixel_mm"),
        ({"trained": {"sigma": [0.1, float("nan")], "kernel": [1, 2], "pixel_mm": [1, 2]}}, "range of sigma"),
        ({"uncertainty": [[0.1, -1.0]]}, "positive"),
        ({"uncertainty": [[0.2, 1.0], [0.1, 1.0]]}, "ascending"),
        ({"network": {"channels": []}}, "whole numbers"),
        ({"network": {"channels": [8, 10**9]}}, "whole numbers"),
        ({"network": {"channels": [8], "blocks": "4"}}, "whole numbers"),
        ({"network": {"channels": [8], "unshuffle": 0}}, "whole numbers"),
        ({"format_version": "2"}, "unreadable"),
        ({"format_version": 0}, "unreadable"),
    ],
)
def test_wrong_description_is_refused(folder: Path, change: dict[str, object], message: str) -> None:
    rewrite(folder, **change)
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_the_process_travels_and_old_readers_are_warned(
    original: Bundle, folder: Path, tmp_path: Path
) -> None:
    """A matched bundle is of format 1, without a word about processes; any other is of format 2."""
    manifest = json.loads((folder / "bundle.json").read_text())
    assert manifest["format_version"] == 1
    assert "process" not in manifest
    assert load(folder).process == "matched"
    other = save(replace(original, process="bridge"), tmp_path / "bridge")
    assert other.process == load(tmp_path / "bridge").process == "bridge"
    assert json.loads((tmp_path / "bridge" / "bundle.json").read_text())["format_version"] == 2
    with pytest.raises(ModelError, match="5 planes and 18 conditions. Received: 4 and 16"):
        replace(original, process="ddpm")


def test_user_bundles_are_found_by_name(
    original: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIDIFF_HOME", str(tmp_path))
    monkeypatch.setattr(module, "ZOO", tmp_path / "zoo")
    save(original, tmp_path / "models" / "thorax")
    save(replace(original, version="zoo"), tmp_path / "zoo" / "ct")
    save(replace(original, version="shadow"), tmp_path / "models" / "ct")
    assert [name for name, _ in list_bundles()] == ["ct", "thorax"]
    assert load("thorax") == original
    assert load("ct").version == "zoo"  # a user's folder cannot pass for a shipped model


@pytest.mark.parametrize("call", ["iterdir", "is_file"])
def test_a_home_that_cannot_be_read_costs_no_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "models" / "private").mkdir(parents=True)
    monkeypatch.setenv("MEDIDIFF_HOME", str(tmp_path))
    plain = getattr(Path, call)

    def denied(self: Path) -> object:
        if self.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self)

    monkeypatch.setattr(Path, call, denied)
    assert {name for name, _ in list_bundles()} >= {"ct", "mr"}
    assert load("ct").name == "ct"


def test_unknown_name_lists_the_known(
    original: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIDIFF_HOME", str(tmp_path))
    save(original, tmp_path / "models" / "thorax")
    with pytest.raises(ModelError, match=r"Received: torax. Did you mean thorax\? Known models: .*thorax"):
        load("torax")
    with pytest.raises(ModelError, match=r"holds no bundle.json"):
        load(tmp_path)


def test_shipped_bundles_are_intact() -> None:
    for name, _ in list_bundles():
        bundle = load(name)
        assert bundle.name == name
        assert "Research use only" in bundle.card
        assert bundle.attribution
        assert len(verify(bundle)) == 2 or "not inspected" in verify(bundle)[-1]


def test_verify_finds_weights_that_do_not_fit(original: Bundle, folder: Path, tmp_path: Path) -> None:
    assert "weights fit" in verify(load(folder))[-1]
    wider = replace(original.config, channels=(8, 12, 20))
    with pytest.raises(ModelError, match="do not fit the network's shape"):
        verify(save(replace(original, config=wider), tmp_path / "wider"))


def test_verify_finds_files_that_changed(original: Bundle, folder: Path) -> None:
    loaded = load(folder)
    save(replace(original, version="9"), folder, overwrite=True)
    with pytest.raises(ModelError, match="changed since"):
        verify(loaded)


def test_uncertainty_factor_is_linear_in_log_sigma(original: Bundle) -> None:
    assert original.uncertainty_factor(0.1) == pytest.approx(1.0)
    assert original.uncertainty_factor(np.sqrt(0.1 * 1.0)) == pytest.approx(1.3)
    assert original.uncertainty_factor(0.0) == 0.8
    assert original.uncertainty_factor(50.0) == 1.6
    assert replace(original, uncertainty=()).uncertainty_factor(0.3) == 1.0


def test_intensity_follows_the_modality(original: Bundle) -> None:
    volume = Volume(np.full((1, 8, 8), 50.0, np.float32), np.eye(4))
    assert original.intensity(volume) == Intensity.ct()
    assert replace(original, modality="mr").intensity(volume) == Intensity.mr(50.0)


def test_loading_imports_no_framework(folder: Path) -> None:
    code = (
        "import sys; from medidiff.models import load; load(sys.argv[1]); "
        "print(sorted({'onnx','tensorflow','keras','openvino','onnxruntime','tract'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
