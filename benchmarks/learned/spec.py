"""Spec: one network of the comparison and how it is trained; plain values that a checkpoint carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medidiff.models.config import UNetConfig

TITLES = {
    "dncnn": "DnCNN",
    "redcnn": "RED-CNN",
    "ddpm": "conditional DDPM, 10 steps",
    "mixing": "CoreDiff-style mixing, 10 steps",
    "bridge": "white bridge, 10 steps",
}
PLAIN = ("dncnn", "redcnn")
"""Networks from scan to clean image; the others walk along a process with the U-Net of medidiff."""

WIDTHS = {"dncnn": 64, "redcnn": 96}
RATES = {"dncnn": 3e-4, "redcnn": 2e-4, "ddpm": 5e-4, "mixing": 5e-4, "bridge": 5e-4}
DOSE = 0.25
"""The one dose of the networks that are trained at one dose."""

LEVEL_FEATURES = 9
"""Features of the level s that the U-Net of a process gets beside the conditioning of medidiff."""


@dataclass(frozen=True)
class Spec:
    """One network.

    Attributes:
        name: a key of `TITLES`.
        modality: ``"ct"`` or ``"mr"``.
        levels: ``"one"``: every training slice at 25 % of its own dose (CT only); ``"all"``: the levels that
            medidiff is trained on.
        width: channels of a plain network.
        depth: layers of DnCNN.
        norm: batch normalisation in DnCNN.
        channels: of the U-Net.
        blocks: of the U-Net.
        unshuffle: of the U-Net.
        sigma_data: SD of clean patches, network units.
    """

    name: str
    modality: str
    levels: str
    width: int = 64
    depth: int = 17
    norm: bool = False
    channels: tuple[int, ...] = (32, 64, 96)
    blocks: int = 2
    unshuffle: int = 2
    sigma_data: float = 0.9

    def __post_init__(self) -> None:
        if self.name not in TITLES:
            raise ValueError(f"name is one of {', '.join(TITLES)}. Received: {self.name}")
        if self.levels not in ("one", "all"):
            raise ValueError(f"levels is 'one' or 'all'. Received: {self.levels}")
        if self.levels == "one" and self.modality != "ct":
            raise ValueError("one dose is for CT; MR is trained on all levels")

    @property
    def title(self) -> str:
        """Name in the tables."""
        return TITLES[self.name]

    @property
    def plain(self) -> bool:
        """Whether the network goes from scan to image in one step."""
        return self.name in PLAIN

    @property
    def unet(self) -> UNetConfig:
        """The U-Net of medidiff with the scan as a fifth plane and features of the level."""
        base = UNetConfig()
        return UNetConfig(
            self.channels,
            self.blocks,
            self.unshuffle,
            planes=base.planes + 1,
            condition=base.condition + LEVEL_FEATURES,
        )

    @property
    def trained_on(self) -> str:
        """In words."""
        return f"{DOSE:.0%} dose" if self.levels == "one" else "all noise levels"

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        return 1 if self.plain else self.unet.stride

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Spec:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)
