"""Ways to damage a file: bytes anywhere, and the fields that readers trust."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

Rng = np.random.Generator

NUMBERS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 31, 32, 64, 127, 128, 255, 256, 4095, 32767, 32768, 65534, 65535)
LENGTHS = (0, 1, 2, 3, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFE, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
WORDS = (
    "", " ", "0", "-1", "nan", "inf", "-inf", "1e400", "1e-400", "1e38", "1e-38", "99999999999999999999",
    "1\\2", "\\\\\\", "a\\b\\c\\d\\e\\f", "0\\0\\0", "1\\0\\0\\1\\0\\0", "1.0000001", "../../x", "\x00",
    "é\udc80", "ORIGINAL", "DERIVED\\PRIMARY\\LOCALIZER", "MONOCHROME1", "RGB",
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5",
    "x" * 300, "9" * 70, "+", "1e", "0x10", "2020-01-01",
)  # fmt: skip
VRS = [v.encode() for v in "US SS UL DS IS LO SQ OB OW UN UI FD AT PN ZZ".split()] + [b"\0\0"]
TRUSTED = (
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "RescaleSlope", "RescaleIntercept",
    "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "ImageType", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID",
    "SpecificCharacterSet", "SeriesNumber", "SeriesDescription", "TimezoneOffsetFromUTC", "PatientName",
    "FrameOfReferenceUID", "InstanceNumber", "AcquisitionNumber", "EchoTime", "DiffusionBValue",
    "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence",
    "FrameContentSequence", "DimensionIndexValues", "WindowCenter", "SoftwareVersions",
    "LossyImageCompression", "PixelData", "Modality", "Units", "ContributingEquipmentSequence",
    "SourceImageSequence", "DirectoryRecordSequence", "ReferencedFileID", "OffsetOfTheNextDirectoryRecord",
)  # fmt: skip


def mutate(data: bytes, rng: Rng) -> bytes:
    """A damaged copy of a file: one to three changes.

    Args:
        data: DICOM, NIfTI, NRRD, MetaImage, zip, or any of them gzipped.
        rng: decides everything.
    """
    packed = data[:2] == b"\x1f\x8b"
    if packed and rng.random() < 0.7:  # damage what lies inside
        return gzip.compress(mutate(gzip.decompress(data), rng), compresslevel=1, mtime=0)
    ways: list[Callable[[bytes, Rng], bytes]] = [_flip, _number, _cut, _repeat, _swap_block]
    if data[128:132] == b"DICM":
        ways += [
            _element_header,
            _element_header,
            _element_value,
            _element_value,
            _element_value,
            _codestream,
        ]
    elif b"\0" not in data[:64]:
        ways += [_text_field] * 4
    else:
        ways += [_head_number] * 3
    for _ in range(int(rng.integers(1, 4))):
        data = ways[int(rng.integers(len(ways)))](data, rng)
    return data


def _place(data: bytes, rng: Rng) -> int:
    """An offset; headers more often than voxels."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 600)
    return int(rng.integers(max(end, 1)))


def _flip(data: bytes, rng: Rng) -> bytes:
    new = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if new:
            new[_place(data, rng) % len(new)] = int(rng.integers(256))
    return bytes(new)


def _number(data: bytes, rng: Rng) -> bytes:
    """Overwrites 1, 2, 4 or 8 bytes with a number at the edge of what they hold."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(LENGTHS)) % (1 << 8 * size)
    start = _place(data, rng)
    return data[:start] + value.to_bytes(size, str(rng.choice(["little", "big"]))) + data[start + size :]  # type: ignore[arg-type]


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _repeat(data: bytes, rng: Rng) -> bytes:
    """Inserts or removes a block, so that everything behind it moves."""
    start, size = _place(data, rng), int(rng.integers(1, 40))
    block = data[start : start + size]
    return data[:start] + (block + block if rng.random() < 0.5 else b"") + data[start + size :]


def _swap_block(data: bytes, rng: Rng) -> bytes:
    a, b, size = _place(data, rng), _place(data, rng), int(rng.integers(2, 40))
    block = data[a : a + size]
    return data[:b] + block + data[b + len(block) :]


def _head_number(data: bytes, rng: Rng) -> bytes:
    """Overwrites an aligned field of a binary header: NIfTI dimensions, types, offsets, scales."""
    if len(data) < 600:
        return _number(data, rng)
    size = int(rng.choice([2, 4, 8]))
    start = int(rng.integers(0, 544 // size)) * size
    raw: Any
    if rng.random() < 0.4:
        raw = np.array(
            rng.choice([np.nan, np.inf, 0, -1, 1e38, 1e-40, 1.5]), "<f8" if size == 8 else "<f4"
        ).tobytes()
        raw = raw[:size]
    else:
        raw = (int(rng.choice([*NUMBERS, *LENGTHS])) % (1 << 8 * size)).to_bytes(size, "little")
    return data[:start] + raw + data[start + size :]


def _text_field(data: bytes, rng: Rng) -> bytes:
    """Changes a value of a text header (NRRD, MetaImage, JSON)."""
    lines = data.split(b"\n")
    text = [k for k, line in enumerate(lines[:40]) if b":" in line or b"=" in line]
    if not text:
        return _flip(data, rng)
    k = int(rng.choice(text))
    mark = b"=" if b"=" in lines[k] else b":"
    name, _, value = lines[k].partition(mark)
    words = value.split() or [b""]
    choice = rng.random()
    if choice < 0.2:
        del lines[k]
    elif choice < 0.3:
        lines.insert(k, lines[k])
    else:
        pool = [str(n) for n in (*NUMBERS, *LENGTHS)] + list(WORDS)
        words[int(rng.integers(len(words)))] = _encoded(str(rng.choice(pool)))
        if rng.random() < 0.2:
            words.append(b"7")
        lines[k] = name + mark + b" " + b" ".join(words)
    return b"\n".join(lines)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _elements(data: bytes) -> list[tuple[int, int, int]]:
    """(start of header, start of value, length of value) of explicit little-endian top-level elements."""
    found, place = [], 132
    while place + 8 <= len(data) and len(found) < 500:
        vr = data[place + 4 : place + 6]
        if not vr.isalpha():
            return found
        long = vr in (
            b"OB",
            b"OW",
            b"OF",
            b"OD",
            b"OL",
            b"OV",
            b"SQ",
            b"UN",
            b"UT",
            b"UC",
            b"UR",
            b"SV",
            b"UV",
        )
        head = 12 if long else 8
        length = int.from_bytes(
            data[place + 8 : place + 12] if long else data[place + 6 : place + 8], "little"
        )
        found.append((place, place + head, length))
        if length == 0xFFFFFFFF:
            return found
        place += head + length
    return found


def _element_header(data: bytes, rng: Rng) -> bytes:
    """Changes tag, VR or length of an element, or takes the element out, or writes it twice."""
    elements = _elements(data)
    if not elements:
        return _flip(data, rng)
    start, value, length = elements[int(rng.integers(len(elements)))]
    end = min(value + length, len(data))
    way = int(rng.integers(5))
    if way == 0:
        tag = int(rng.choice(NUMBERS)).to_bytes(2, "little")
        side = int(rng.choice([0, 2]))
        return data[: start + side] + tag + data[start + side + 2 :]
    if way == 1:
        return data[: start + 4] + VRS[int(rng.integers(len(VRS)))] + data[start + 6 :]
    if way == 2:
        size = 4 if value - start == 12 else 2
        number = int(rng.choice(LENGTHS)) % (1 << 8 * size)
        return data[: value - size] + number.to_bytes(size, "little") + data[value:]
    return data[:start] + (data[start:end] * 2 if way == 3 else b"") + data[end:]


def _element_value(data: bytes, rng: Rng) -> bytes:
    """Writes an odd value into an element at any depth, in a file that is well formed otherwise."""
    import pydicom
    from pydicom.dataelem import DataElement, RawDataElement

    try:
        with pydicom.config.disable_value_validation():
            ds = pydicom.dcmread(BytesIO(data), force=True)
            all_elements = [(part, e.tag) for part in _parts(ds) for e in part]
            trusted = [(part, tag) for part, tag in all_elements if _keyword(tag) in TRUSTED]
            pool = trusted if trusted and rng.random() < 0.8 else all_elements
            part, tag = pool[int(rng.integers(len(pool)))]
            element = part[tag]
            way = rng.random()
            if way < 0.15:
                del part[tag]
            elif element.VR in ("US", "SS", "UL", "SL"):
                part[tag] = DataElement(tag, "US", int(rng.choice(NUMBERS)))
            elif element.VR == "SQ":
                element.value = list(element.value) * 2 if rng.random() < 0.5 else []
            elif element.VR in ("OB", "OW", "UN"):
                element.value = bytes(element.value)[: int(rng.integers(len(element.value) + 1))]
            else:
                word = WORDS[int(rng.integers(len(WORDS)))] if way < 0.8 else str(rng.choice(NUMBERS))
                raw = _encoded(word)
                little = bool(ds.original_encoding[1])
                implicit = bool(ds.original_encoding[0])
                part._dict[tag] = RawDataElement(tag, element.VR, len(raw), raw, 0, implicit, little)
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, ds)
            return buffer.getvalue()
    except Exception:  # what is left cannot be parsed or written again
        return _flip(data, rng)


def _keyword(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag)


def _parts(ds: Any) -> list[Any]:
    """A data set and all items of its sequences."""
    found = [ds]
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                found += _parts(item)
    return found


def _codestream(data: bytes, rng: Rng) -> bytes:
    """Damages the head of compressed pixel data, where decoders read sizes, or a byte anywhere in it."""
    starts = [p for mark in (b"\xff\x4f\xff\x51", b"\xff\xd8\xff") if (p := data.find(mark)) > 0]
    if not starts:
        marker = data.rfind(b"\xe0\x7f\x10\x00")
        starts = [marker + 20 if marker > 0 else len(data) // 2]
    new = bytearray(data)
    start = starts[0]
    for _ in range(int(rng.integers(1, 5))):
        span = 110 if rng.random() < 0.7 else max(len(new) - start, 1)
        place = start + int(rng.integers(span))
        if place < len(new):
            new[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    return bytes(new)
