"""The TOML of a run: what goes in comes out, what is unknown is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medidiff.errors import UsageError
from medidiff.training.config import DataConfig, OptimiserConfig, TrainConfig, load

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
        patch = 64
        [optimiser]
        steps = 10
        rate = 1e-3
        """,
    )
    config = load(path)
    assert (config.name, config.modality, config.seed, config.sigma_data) == ("x", "mr", 5, 0.3)
    assert config.network.channels == (8, 12)  # tuples, so that the configuration stays hashable
    assert config.data == DataConfig(sigma=(0.01, 0.15), patch=64)
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


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such training configuration"):
        load(tmp_path / "no.toml")
