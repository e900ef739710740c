"""The ablation configurations and the benchmark that compares them."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ct_items import fill_cache
from toy import toy_config

from medidiff.training import pack
from medidiff.training.recipe import load

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs" / "ablations").glob("*.toml"))

DIFFERS = {
    "adam": {"kind"},
    "capacity-deep": {"blocks"},
    "capacity-large": {"channels"},
    "capacity-largest": {"channels", "blocks"},
    "capacity-small": {"channels"},
    "context-zero": {"context_start"},
    "base": set(),
    "white": {"noise"},
    "sigma-none": {"conditioning"},
    "sigma-scalar": {"conditioning"},
    "naive-target": {"correction"},
    "slice-2d": {"context"},
    "bias-loss": {"bias"},
    "nps-loss": {"nps"},
    "mixing": {"process"},
    "bridge": {"process"},
    "ddpm": {"process", "planes", "condition"},
}
"""Settings in which each differs from the base, besides its name."""


@pytest.fixture(scope="module")
def ablations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablations", ROOT / "benchmarks" / "ablations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["ablations"] = module
    spec.loader.exec_module(module)
    return module


def settings(path: Path) -> dict[str, object]:
    plain = load(path).to_dict()
    return {k: v for part in ("network", "data", "optimiser") for k, v in plain.pop(part).items()} | plain


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_each_ablation_changes_one_thing(path: Path) -> None:
    base, own = settings(path.with_name("base.toml")), settings(path)
    assert own["name"] == path.stem
    assert {k for k in own if own[k] != base[k]} - {"name"} == DIFFERS[path.stem]


def test_every_ablation_has_its_file() -> None:
    assert {p.stem for p in CONFIGS} == set(DIFFERS)


def test_gains_and_intervals_of_known_errors(ablations: ModuleType) -> None:
    """Errors of a tenth of the noise are 10 dB; the interval widens with the spread between patients."""
    rng = np.random.default_rng(0)
    quarters = np.tile(np.arange(4), 50)
    patients = [f"p{i // 20}" for i in range(200)]
    even = np.full(200, 0.1)
    uneven = even * np.exp(np.repeat(rng.normal(0, 0.3, 10), 20))
    assert ablations.with_mean(even, quarters) == pytest.approx([10.0] * 5)
    judged = [
        ablations.Judged("base", even, (10.0, 10.0)),
        ablations.Judged("worse", 2 * uneven, (7.0, 8.0)),
    ]
    rows = ablations.table(judged, quarters, patients)
    assert "| base | 10.00 | 10.00 | 10.00 | 10.00 | 10.00 [10.00, 10.00] |  | 0.00 |" in rows
    cells = [c.strip() for c in rows[-1].strip("|").split("|")]
    expected = -10 * np.log10(2 * uneven.mean())
    assert float(cells[5].split()[0]) == pytest.approx(expected, abs=0.01)
    low, high = (float(c) for c in cells[6].split("[")[1].rstrip("]").split(","))
    assert low < float(cells[6].split()[0]) < high < 0
    spread = 10 / np.log(10) * 0.3 / np.sqrt(10)
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.5)


@pytest.mark.slow
def test_the_benchmark_trains_compares_and_goes_on(
    ablations: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a pack of toy slices: a table of three ablations; given again, nothing is trained anew."""
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    config = toy_config(tmp_path)
    config = replace(config, data=replace(config.data, cache=str(tmp_path / "cache")))
    for role in ("train", "val"):
        fill_cache(config, role)
    pack.write(tmp_path / "ct.pack", config, 5.0)
    (tmp_path / "configs").mkdir()
    for name in ("base", "ddpm", "bias-loss"):
        text = (ROOT / "configs" / "ablations" / f"{name}.toml").read_text()
        text = text.replace("[32, 64, 96]", "[8, 12]").replace("patch = 64", "patch = 32\nper_slice = 4")
        (tmp_path / "configs" / f"{name}.toml").write_text(text)
    words = ["ablations.py", "--steps", "4", "--configs", str(tmp_path / "configs")]
    words += [
        "--runs",
        str(tmp_path / "runs"),
        "--pack",
        str(tmp_path / "ct.pack"),
        "-o",
        str(tmp_path / "a.md"),
    ]
    monkeypatch.setattr("sys.argv", words)
    ablations.main()
    table = (tmp_path / "a.md").read_text()
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows == ["ablation", "base", "bias-loss", "ddpm"]
    assert capsys.readouterr().out.count("step 4, gain") == 3
    ablations.main()
    assert (tmp_path / "a.md").read_text() == table
    assert "step 4, gain" not in capsys.readouterr().out
