"""How an image was derived, and the words, numbers and UIDs that follow from it.

UIDs follow from the source UIDs, the model hash and the settings alone, so a second run gives the same
ones: the output is idempotent and no archive ends up with two copies under different names.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from ..errors import UsageError
from .names import printable

NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class Derivation:
    """How an image was derived; serialises into headers, sidecars and deterministic UIDs.

    Attributes:
        model_id: identifier of the model bundle (or of the noise model for a simulation).
        model_sha256: hash of its weights, hexadecimal; empty where there are none.
        version: version of medidiff.
        mode: sampler mode, ``"mean"``, ``"natural"`` or ``"sample"``.
        tier: ``"fast"``, ``"standard"``, or ``"best"`` for the mean over eight views of each slice.
        steps: network evaluations per slice and sample.
        samples: posterior samples.
        coils: MR: channels of a root-sum-of-squares image, 1 for Rician noise.
        seed: seed of the random generator.
        sigma_text: the noise level that was used, for people, such as ``"23.4 HU (auto)"``; a finding, not a
            setting, and so no part of the fingerprint.
        sigma_setting: the noise level that was asked for: ``"auto"``, a number, or the hash of a map.
        strength: 0 is the input, 1 fully denoised.
        guidance: gain of data consistency; 0 is none, and then no part of the fingerprint.
        window: the intensity range the model works in, for people.
        engine: inference engine and precision.
        context: how many slices away the neighbours are that the model looked at, 0 for none; a finding.
        planes: planes of the volume that the model looked at, 1 or 3; a finding.
        operation: what was done to the pixels; ``"copy"`` leaves them as they are.
        roi: the part of the volume that was denoised, as voxel bounds; empty for all of it.
        synthetic_data: writes SyntheticData YES (0008,001C); a YES of the source is always kept.
        created: time stamp of the output, None for now; not part of the fingerprint.
    """

    model_id: str
    model_sha256: str = ""
    version: str = ""
    mode: str = "mean"
    tier: str = "fast"
    steps: int = 1
    samples: int = 1
    coils: int = 1
    seed: int = 0
    sigma_text: str = "auto"
    sigma_setting: str = "auto"
    strength: float = 1.0
    guidance: float = 0.0
    window: str = ""
    engine: str = ""
    context: int = 1
    planes: int = 1
    operation: Literal["denoise", "simulate", "copy"] = "denoise"
    roi: str = ""
    synthetic_data: bool = False
    created: datetime | None = None

    def describe(self) -> str:
        """One line for DerivationDescription (0008,2111): no patient text, at most 1024 characters (ST)."""
        model = f"{self.model_id}@{self.model_sha256[:12]}" if self.model_sha256 else self.model_id
        if self.operation == "copy":
            return f"Copied by medidiff {self.version} with strength 0: pixel values unchanged. {NOTICE}"
        if self.operation == "simulate":
            words = [f"Noise added by medidiff {self.version}", model, f"noise {self.sigma_text}"]
        else:
            words = [
                f"Denoised by medidiff {self.version}", f"model {model}", f"mode {self.mode}",
                f"tier {self.tier}", f"steps {self.steps}", f"samples {self.samples}",
                f"strength {self.strength:g}", f"noise level {self.sigma_text}",
            ]  # fmt: skip
        words += [f"guidance {self.guidance:g}"] if self.guidance else []
        words += [f"coils {self.coils}"] if self.coils > 1 else []
        words += [f"planes {self.planes}"] if self.planes > 1 else []
        words += [f"seed {self.seed}"]
        words += [f"only voxels {self.roi}"] if self.roi else []
        words += [f"intensity window {self.window}"] if self.window else []
        words += [f"engine {self.engine}"] if self.engine else []
        text = "; ".join(" ".join(word.split()) for word in words)
        return f"{text[: 1023 - len(NOTICE)]}. {NOTICE}"[:1024]

    def settings(self) -> dict[str, Any]:
        """Model and settings as plain values: what was asked for, not what was found."""
        unset = [name for name in ("roi", "guidance") if not getattr(self, name)]
        return {k: v for k, v in asdict(self).items() if k not in FINDINGS and k not in unset}

    def as_dict(self) -> dict[str, Any]:
        """All but the time as plain values; the inverse of `from_dict`."""
        return {k: v for k, v in asdict(self).items() if k != "created"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Derivation:
        """A derivation that another program kept.

        Raises:
            UsageError: a field is missing, unknown or of another type than it should be.
        """
        kinds = {k: type(v) for k, v in asdict(cls("")).items() if k != "created"}
        found: dict[str, Any] = {}
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is float and type(value) is int:
                value = float(value)
            if kind is None or type(value) is not kind or value != value:
                what = "The derivation has a field that is unknown or of another type"
                raise UsageError(what, received=f"{name}: {value!r}"[:100])
            found[name] = printable(value, 512) if kind is str else value
        if not found.get("model_id") or found.get("operation", "denoise") not in ("denoise", "copy"):
            raise UsageError("The derivation tells no model and operation", received=sorted(found))
        return cls(**found)

    def fingerprint(self) -> str:
        """Text that is equal exactly when model and settings are equal."""
        return json.dumps(self.settings(), sort_keys=True)


FINDINGS = ("created", "sigma_text", "context", "planes")
"""Fields of a `Derivation` that follow from the scan, or from the clock."""

SUFFIX = {"denoised": "medidiff denoised (research)"}
"""Ends SeriesDescription; the notice is never cut."""

MAPS = ("residual", "uncertainty")
"""Suffixes of signed maps, which have a scale and a display window of their own."""


def derived_uid(*sources: str) -> str:
    """A UID that depends on `sources` alone."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=list(sources)))  # deterministic with the default prefix only


def derived_numbers(sources: Sequence[int | None], taken: Iterable[int]) -> list[dict[str, int]]:
    """Series Numbers of what is derived from the series of a study, no two alike.

    Args:
        sources: Series Number of each series.
        taken: all that the study has.

    Returns:
        for each series the number of its derived series by suffix: ``"denoised"`` and the `MAPS`.
    """
    used = set(taken)
    found: list[dict[str, int]] = [{} for _ in sources]
    for suffix in ("denoised", *MAPS):
        for number, numbers in zip(sources, found, strict=True):
            numbers[suffix] = derived_number(number, used, suffix)
            used.add(numbers[suffix])
    return found


def derived_number(number: int | None, taken: Container[int], suffix: str) -> int:
    """A Series Number beside that of the source that the study does not use yet (IS, at most 2**31 - 1)."""
    offset = 1000 * (1 + (MAPS.index(suffix) + 1 if suffix in MAPS else 0))
    start = (number or 0) + offset
    start = start if 0 < start < 2**31 - 10**6 else offset
    return next(n for n in range(start, start + 10**6, 1) if n not in taken)


def description(source: object, suffix: str) -> str:
    """SeriesDescription (0008,103E): the source text is cut to keep 64 characters (LO), never the suffix."""
    tail = SUFFIX.get(suffix, f"medidiff {suffix} (research)")[:64]
    text = printable(source).replace("\\", " ")
    return f"{text[: 63 - len(tail)].rstrip()} {tail}".strip()
