"""What a derived DICOM image says about its origin (dicom-io brief, section 1; PS3.3 2020).

`derive` turns the header of a source slice into that of the derived slice; it never touches pixels.
UIDs follow from the source UIDs, the model hash and the settings alone, so a second run gives the same
ones: the output is idempotent and no archive ends up with two copies under different names.
"""

from __future__ import annotations

import json
from copy import copy, deepcopy
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from .names import printable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

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
        sigma_text: the noise level that was used, for people, such as ``"23.4 HU (auto)"``; a finding, not a
            setting, and so no part of the fingerprint.
        sigma_setting: the noise level that was asked for: ``"auto"``, a number, or the hash of a map.
        strength: 0 is the input, 1 fully denoised.
        window: the intensity range the model works in, for people.
        engine: inference engine and precision.
        context: how many slices away the neighbours are that the model looked at, 0 for none; a finding.
        operation: what was done to the pixels; ``"copy"`` leaves them as they are.
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
    sigma_setting: str = "auto"
    strength: float = 1.0
    window: str = ""
    engine: str = ""
    context: int = 1
    operation: Literal["denoise", "simulate", "copy"] = "denoise"
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
                f"steps {self.steps}", f"samples {self.samples}", f"strength {self.strength:g}",
                f"noise level {self.sigma_text}",
            ]  # fmt: skip
        words += [f"seed {self.seed}"]
        words += [f"intensity window {self.window}"] if self.window else []
        words += [f"engine {self.engine}"] if self.engine else []
        text = "; ".join(" ".join(word.split()) for word in words)
        return f"{text[: 1023 - len(NOTICE)]}. {NOTICE}"[:1024]

    def settings(self) -> dict[str, Any]:
        """Model and settings as plain values: what was asked for, not what was found."""
        return {k: v for k, v in asdict(self).items() if k not in FINDINGS}

    def fingerprint(self) -> str:
        """Text that is equal exactly when model and settings are equal."""
        return json.dumps(self.settings(), sort_keys=True)


FINDINGS = ("created", "sigma_text", "context")
"""Fields of a `Derivation` that follow from the scan, or from the clock."""

SUFFIX = {"denoised": "medidiff denoised (research)"}
"""Ends SeriesDescription; the notice is never cut."""

PURPOSE_SOURCE = ("121322", "Source image for image processing operation")  # CID 7202
PURPOSE_ACQUISITION = ("109101", "Acquisition Equipment")  # CID 7005
PURPOSE_PROCESSING = ("109102", "Processing Equipment")
SMOOTHING = ("113087", "Smoothing")  # CID 7203: the closest concept; there is none for denoising

DROPPED = (
    "PixelData", "FloatPixelData", "DoubleFloatPixelData",
    "IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence",  # of the old pixels
    "SmallestImagePixelValue", "LargestImagePixelValue",
    "SmallestPixelValueInSeries", "LargestPixelValueInSeries", "PixelDataProviderURL",
    "InstanceCreatorUID", "DeviceSerialNumber", "StationName", "DataSetTrailingPadding",
)  # fmt: skip
"""Not true of the new image, and not required of it."""

NOT_OF_A_MAP = (
    "PixelPaddingValue", "PixelPaddingRangeLimit", "VOILUTSequence", "VOILUTFunction",
    "WindowCenterWidthExplanation", "RealWorldValueMappingSequence",
)  # fmt: skip
"""Display and padding of the source that make no sense for a residual or an uncertainty map."""

EQUIPMENT = (
    "Manufacturer", "InstitutionName", "StationName", "ManufacturerModelName", "DeviceSerialNumber",
    "SoftwareVersions",
)  # fmt: skip

MAPS = ("residual", "uncertainty")
"""Suffixes of signed maps, which have a scale and a display window of their own."""


@dataclass(frozen=True)
class Identity:
    """The new identifiers of one derived slice.

    Attributes:
        series_uid: Series Instance UID.
        sop_uid: SOP Instance UID.
        series_number: Series Number.
        sources: (SOP Class UID, SOP Instance UID) of every slice that went in, the slice itself first.
        suffix: ``"denoised"``, ``"residual"`` ...
        now: time stamp, the same for the whole series.
        description: text in place of the source's Series Description; None keeps that.
    """

    series_uid: str
    sop_uid: str
    series_number: int
    sources: tuple[tuple[str, str], ...]
    suffix: str
    now: datetime
    description: str | None = None


def derived_uid(*sources: str) -> str:
    """A UID that depends on `sources` alone."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=list(sources)))  # deterministic with the default prefix only


def derived_number(number: int | None, taken: frozenset[int], suffix: str) -> int:
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


def derive(source: Dataset, derivation: Derivation, identity: Identity, *, keep_private: bool) -> Dataset:
    """The header of the derived slice: a copy of the source with the changes of the table.

    Args:
        source: classic CT, MR or PET slice.
        derivation: what was done.
        identity: the new identifiers.
        keep_private: copies private elements.

    Returns:
        a new data set without pixel data and file meta information.
    """
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    gone = {Tag(k) for k in (*DROPPED, *(NOT_OF_A_MAP if identity.suffix in MAPS else ()))}
    new = Dataset()
    for element in source:
        if element.tag.group <= 2 or element.tag.element == 0 or element.tag in gone:
            continue
        if not element.tag.is_private or keep_private:
            new.add(deepcopy(element) if element.VR == "SQ" else copy(element))
    if not keep_private:
        new.remove_private_tags()  # inside sequences
    _identify(new, source, identity, "copy" if derivation.operation == "copy" else identity.suffix)
    _explain(new, source, derivation, identity)
    _equip(new, source, derivation)
    return new


def _identify(new: Dataset, source: Dataset, identity: Identity, word: str) -> None:
    new.SOPInstanceUID = identity.sop_uid
    new.SeriesInstanceUID = identity.series_uid
    new.SeriesNumber = identity.series_number
    text = source.get("SeriesDescription") if identity.description is None else identity.description
    new.SeriesDescription = description(text, word)
    kind = [str(v) for v in source.get("ImageType") or []]
    fallback = ["DERIVED", "PRIMARY", *(["AXIAL"] if source.get("Modality") == "CT" else [])]
    new.ImageType = ["DERIVED", *kind[1:], *fallback[max(len(kind), 1) :]]
    now = identity.now.astimezone(_zone(source))
    day, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S.%f")
    new.InstanceCreationDate, new.InstanceCreationTime = day, time
    new.ContentDate, new.ContentTime = day, time
    # PET counts Frame Reference Time and decay from Series Date and Time (C.8.9.1.1.4, C.8.9.4.1.5).
    if source.get("Modality") != "PT":
        new.SeriesDate, new.SeriesTime = day, time


def _zone(source: Dataset) -> timezone | None:
    """Timezone Offset From UTC (0008,0201) of the source, None for the local one."""
    text = str(source.get("TimezoneOffsetFromUTC") or "").strip()
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit() or int(text[1:3]) > 14:
        return None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return timezone(-offset if text[0] == "-" else offset)


def _explain(new: Dataset, source: Dataset, derivation: Derivation, identity: Identity) -> None:
    """DerivationDescription, codes and sources (C.7.6.1.1.3, C.12.4.1.1)."""
    new.DerivationDescription = f"{identity.suffix}: {derivation.describe()}"[:1024]
    if derivation.operation == "denoise":
        new.DerivationCodeSequence = [_code(*SMOOTHING)]
    elif derivation.operation == "simulate" and "DerivationCodeSequence" in new:
        del new.DerivationCodeSequence
    new.SourceImageSequence = [_reference(*uids) for uids in identity.sources]
    new.ContentQualification = "RESEARCH"  # C.8.13.2.1.1
    if derivation.synthetic_data:
        new.SyntheticData = "YES"


def _reference(sop_class: str, uid: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = uid
    item.SpatialLocationsPreserved = "YES"
    item.PurposeOfReferenceCodeSequence = [_code(*PURPOSE_SOURCE)]
    return item


def _code(value: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def _equip(new: Dataset, source: Dataset, derivation: Derivation) -> None:
    """General Equipment is medidiff's; the source's moves to ContributingEquipmentSequence (C.12.1.1.5)."""
    from pydicom.dataset import Dataset

    first = str((source.get("ImageType") or [""])[0])
    scanner = Dataset()
    for keyword in EQUIPMENT:
        if source.get(keyword) not in (None, ""):
            scanner.add(copy(source[keyword]))
    scanner.Manufacturer = source.get("Manufacturer") or "unknown"
    scanner.PurposeOfReferenceCodeSequence = [
        _code(*(PURPOSE_PROCESSING if first == "DERIVED" else PURPOSE_ACQUISITION))
    ]
    model = Dataset()
    model.Manufacturer = "medidiff"
    model.ManufacturerModelName = printable(derivation.model_id)
    short = derivation.model_sha256[:12]
    versions = [f"medidiff {derivation.version}".strip()]
    versions += [f"{derivation.model_id}@{short}"[:64]] if short else []
    model.SoftwareVersions = versions
    model.PurposeOfReferenceCodeSequence = [_code(*PURPOSE_PROCESSING)]
    model.DeviceUID = derived_uid("medidiff model", derivation.model_id, derivation.model_sha256)
    new.ContributingEquipmentSequence = [*(new.get("ContributingEquipmentSequence") or []), scanner, model]
    new.Manufacturer = "medidiff"
    new.ManufacturerModelName = "medidiff"
    new.SoftwareVersions = versions
