"""The TOML of a run: what goes in comes out, what is unknown is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medidiff.errors import UsageError
from medidiff.training.config import DataConfig, OptimiserConfig, TrainConfig
from medidiff.training.recipe import load

CONFIGS = Path(__file__).parents[2] / "configs"


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, "utf-8")
    return path


def test_every_setting_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        name = "x"
        modality = "mr"
        seed = 5
        sigma_data = 0.3
        [network]
        channels = [8, 12]
        blocks = 1
        [data]
        sigma = [0.01, 0.15]
        low_sigma = 0.002
        patch = 64
        [optimiser]
        steps = 10
        rate = 1e-3
        """,
    )
    config = load(path)
    assert (config.name, config.modality, config.seed, config.sigma_data) == ("x", "mr", 5, 0.3)
    assert config.network.channels == (8, 12)  # tuples, so that the configuration stays hashable
    assert config.data == DataConfig(sigma=(0.01, 0.15), low_sigma=0.002, patch=64)
    assert config.optimiser == OptimiserConfig(steps=10, rate=1e-3)
    hash(config)


def test_plain_values_survive_json(tmp_path: Path) -> None:
    config = load(write(tmp_path, 'name = "x"\nmodality = "ct"\n'))
    assert config == TrainConfig("x", "ct")
    plain = json.loads(json.dumps(config.to_dict()))
    assert plain["network"]["channels"] == list(config.network.channels)
    assert plain["data"]["sigma"] == [8.0, 250.0]
    assert set(plain) == {f.name for f in TrainConfig.__dataclass_fields__.values()}


@pytest.mark.parametrize("name", ["ct", "mr", "ct-gpu", "mr-gpu"])
def test_released_recipes_are_valid(name: str) -> None:
    config = load(CONFIGS / f"{name}.toml")
    assert config.name == name
    assert config.modality == name[:2]
    assert config.data.patch % config.network.stride == 0
    assert config.data.low_sigma < config.data.sigma[0] < config.data.sigma[1]
    assert config.data.slices_per_chunk * config.data.per_slice >= config.optimiser.batch


@pytest.mark.parametrize(
    ("text", "unknown", "known"),
    [
        ('name = "x"\nmodality = "ct"\nsede = 3', "sede", "seed"),
        ('name = "x"\nmodality = "ct"\n[data]\npatches = 3', "patches", "patch"),
        ('name = "x"\nmodality = "ct"\n[network]\nchanels = [8]', "chanels", "channels"),
        ('name = "x"\nmodality = "ct"\n[optimiser]\nlr = 1', "lr", "rate"),
    ],
)
def test_unknown_settings_are_refused_with_the_known_ones(
    tmp_path: Path, text: str, unknown: str, known: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text))
    assert repr(unknown) in str(caught.value)
    assert known in (caught.value.hint or "")
    assert "run.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "Not a readable TOML"),
        ('name = "x"\nmodality = "pet"', "ct or mr"),
        ('modality = "ct"', "name"),
        ('name = "x"', "modality"),
        ('name = "x"\nmodality = "ct"\ndata = 3', r"\[data\]"),
        ('name = "x"\nmodality = "ct"\nseed = "one"', "seed"),
        ('name = "x"\nmodality = "ct"\n[data]\npatch = 9.5', "patch"),
        ('name = "x"\nmodality = "ct"\n[data]\nsigma = 8.0', "sigma"),
        ('name = "x"\nmodality = "ct"\n[optimiser]\nrate = true', "rate"),
        ('name = "x"\nmodality = "ct"\n[optimiser]\nrate = "1e-3"', "rate"),
    ],
)
def test_broken_files_get_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("where", "line", "says"),
    [
        ("", 'name = "../elsewhere"', "name must be letters"),
        ("", 'name = ""', "name must be letters"),
        ("", "name = 5", "name must be letters"),
        ("", "seed = -1", "seed must be 0 or more"),
        ("", "sigma_data = nan", "sigma_data must be a positive number"),
        ("", "checkpoint_every = 0", "checkpoint_every must be 1 or more"),
        ("", "validate_every = 0", "validate_every must be 1 or more"),
        ("network", "channels = []", "channels must be"),
        ("network", "channels = [8.5]", "channels must be"),
        ("network", "channels = [0, 8]", "channels must be"),
        ("network", "unshuffle = 0", "unshuffle must be 1 or more"),
        ("network", "planes = 7", "Unknown setting 'planes'"),
        ("data", "sigma = [250.0, 8.0]", "sigma must be two noise SDs"),
        ("data", "sigma = [8.0, 100.0, 250.0]", "sigma must be two noise SDs"),
        ("data", "sigma = [nan, 250.0]", "sigma must be two noise SDs"),
        ("data", "sigma = [8.0, inf]", "sigma must be two noise SDs"),
        ("data", 'sigma = ["8", "250"]', "sigma must be two noise SDs"),
        ("data", "low_sigma = 9.0", "low_sigma must be above 0 and at most"),
        ("data", "low_share = 1.5", "low_share must be from 0 to 1"),
        ("data", "patch = 33", "patch must be a multiple of 8"),
        ("data", "patch = 0", "patch must be 1 or more"),
        ("optimiser", "batch = 0", "batch must be 1 or more"),
        ("optimiser", "batch = 97", "97 of 96"),
        ("optimiser", "steps = 0", "steps must be 1 or more"),
        ("optimiser", "rate = -1e-3", "rate must be a positive number"),
        ("optimiser", "rate = inf", "rate must be a positive number"),
        ("optimiser", "ema = 1.0", "ema must be at least 0 and below 1"),
        ("optimiser", 'precision = "bf16"', "precision must be float32 or mixed_bfloat16"),
    ],
)
def test_values_that_make_no_sense_are_refused(tmp_path: Path, where: str, line: str, says: str) -> None:
    top = [x for x in ('name = "x"', 'modality = "ct"') if where or x.split()[0] != line.split()[0]]
    text = "\n".join([*top, f"[{where}]" if where else "", line])
    with pytest.raises(UsageError, match=says) as caught:
        load(write(tmp_path, text))
    assert "run.toml" in str(caught.value)


def test_mr_needs_levels_of_mr(tmp_path: Path) -> None:
    """The defaults are in HU; as shares of the p99 they would be noise a hundred times the signal."""
    with pytest.raises(UsageError, match="for MR"):
        load(write(tmp_path, 'name = "x"\nmodality = "mr"\n'))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such training configuration"):
        load(tmp_path / "no.toml")
