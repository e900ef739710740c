"""What a derived DICOM image says about its origin (dicom-io brief, section 1; PS3.3 2020)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class Derivation:
    """How an image was derived; serialises into headers, sidecars and deterministic UIDs.

    Attributes:
        model_id: identifier of the model bundle (or of the noise model for a simulation).
        model_sha256: hash of its weights, hexadecimal; empty where there are none.
        version: version of medidiff.
        mode: sampler mode, ``"mean"``, ``"natural"`` or ``"sample"``.
        steps: network evaluations per slice and sample.
        samples: posterior samples.
        seed: seed of the random generator.
        sigma_text: the noise level that was used, for people, such as ``"23.4 HU (auto)"``.
        strength: 0 is the input, 1 fully denoised.
        window: the intensity range the model works in, for people.
        engine: inference engine and precision.
        context: neighbouring slices on each side that the model looks at.
        operation: what was done to the pixels.
        synthetic_data: writes SyntheticData YES (0008,001C); a YES of the source is always kept.
        created: time stamp of the output, None for now; not part of the fingerprint.
    """

    model_id: str
    model_sha256: str = ""
    version: str = ""
    mode: str = "mean"
    steps: int = 1
    samples: int = 1
    seed: int = 0
    sigma_text: str = "auto"
    strength: float = 1.0
    window: str = ""
    engine: str = ""
    context: int = 1
    operation: Literal["denoise", "simulate"] = "denoise"
    synthetic_data: bool = False
    created: datetime | None = None

    def describe(self) -> str:
        """One line for DerivationDescription (0008,2111): no patient text, at most 1024 characters (ST)."""
        model = f"{self.model_id}@{self.model_sha256[:12]}" if self.model_sha256 else self.model_id
        if self.operation == "simulate":
            words = [f"Noise added by medidiff {self.version}", model, f"noise {self.sigma_text}"]
        else:
            words = [
                f"Denoised by medidiff {self.version}", f"model {model}", f"mode {self.mode}",
                f"steps {self.steps}", f"samples {self.samples}", f"strength {self.strength:g}",
                f"noise level {self.sigma_text}",
            ]  # fmt: skip
        words += [f"seed {self.seed}"]
        words += [f"intensity window {self.window}"] if self.window else []
        words += [f"engine {self.engine}"] if self.engine else []
        text = "; ".join(" ".join(word.split()) for word in words)
        return f"{text[: 1023 - len(NOTICE)]}. {NOTICE}"[:1024]

    def fingerprint(self) -> str:
        """Text that is equal exactly when model and settings are equal."""
        settings = {k: v for k, v in asdict(self).items() if k != "created"}
        return json.dumps(settings, sort_keys=True)
