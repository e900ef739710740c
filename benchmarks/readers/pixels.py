"""Cases of pixels: scales, depths, colours."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from readers.scan import Image, bits


def slopes(images: list[Image]) -> list[Image]:
    """Slope of its own for each slice (1 for the first)."""
    for k, image in enumerate(images):
        image.header.RescaleSlope, image.header.RescaleIntercept = f"{1 + 0.0137 * k:.4f}", f"{-0.25 * k:.2f}"
    return images


def signed_12(images: list[Image]) -> list[Image]:
    """Signed, 12 bits stored, upper bits not sign-extended."""
    for image in images:
        bits(image.header, 12, signed=True)
        values = np.clip(image.stored, -2048, 2047)
        image.truth = values
        image.stored = (values.astype(np.int32) & 0xFFF).astype(np.uint16).view(np.int16)
    return images


def unsigned_12(images: list[Image]) -> list[Image]:
    """Scanner-like: 12 bits, unsigned, intercept -1024."""
    for image in images:
        bits(image.header, 12, signed=False)
        image.stored = np.clip(image.stored.astype(np.int32) + 1024, 0, 4095).astype(np.uint16)
        image.header.RescaleIntercept = "-1024"
    return images


def high_bit_15(images: list[Image]) -> list[Image]:
    """12 bits stored in the upper bits (high bit 15; retired)."""
    for image in unsigned_12(images):
        image.truth = image.values
        image.header.HighBit = 15
        image.stored = image.stored << np.uint16(4)
    return images


def overlay_bits(images: list[Image]) -> list[Image]:
    """Overlay in an unused bit of the pixels."""
    for image in unsigned_12(images):
        image.truth = image.values
        rows, columns = image.stored.shape
        image.stored[rows // 4 : rows // 2, columns // 4 : columns // 2] |= np.uint16(1 << 12)
        for element, vr, value in (
            (0x0010, "US", rows), (0x0011, "US", columns), (0x0040, "CS", "G"), (0x0050, "SS", [1, 1]),
            (0x0100, "US", 16), (0x0102, "US", 12),
        ):  # fmt: skip
            image.header.add_new((0x6000, element), vr, value)
    return images


def monochrome1(images: list[Image]) -> list[Image]:
    """MONOCHROME1."""
    for image in images:
        image.header.PhotometricInterpretation = "MONOCHROME1"
    return images


def modality_lut(images: list[Image]) -> list[Image]:
    """Modality LUT sequence instead of slope and intercept."""
    for image in unsigned_12(images):
        table = (np.arange(4096) * 2 + 100).astype(np.uint16)
        image.truth = table[image.stored]
        lut = Dataset()
        lut.add_new("LUTDescriptor", "US", [4096, 0, 16])
        lut.ModalityLUTType = "US"
        lut.add_new("LUTData", "OW", table.tobytes())
        image.header.ModalityLUTSequence = [lut]
        del image.header.RescaleSlope, image.header.RescaleIntercept, image.header.RescaleType
    return images


def _eight_bits(images: list[Image]) -> list[Image]:
    for image in images:
        image.stored = np.clip((image.stored.astype(np.int32) + 160) * 255 // 400, 0, 255).astype(np.uint8)
        image.header.BitsAllocated, image.header.BitsStored, image.header.HighBit = 8, 8, 7
        image.header.PixelRepresentation = 0
        del image.header.RescaleSlope, image.header.RescaleIntercept, image.header.RescaleType
    return images


def palette(images: list[Image]) -> list[Image]:
    """Palette colour (an inverted grey scale)."""
    for image in _eight_bits(images):
        image.header.PhotometricInterpretation = "PALETTE COLOR"
        table = np.arange(255, -1, -1).astype(np.uint8)
        image.truth = 255 - image.stored.astype(int)
        for colour in ("Red", "Green", "Blue"):
            image.header.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
            image.header.add_new(f"{colour}PaletteColorLookupTableData", "OW", table.tobytes())
    return images


def rgb(images: list[Image]) -> list[Image]:
    """RGB slices (grey)."""
    for image in _eight_bits(images):
        image.truth = image.stored
        image.stored = np.repeat(image.stored[..., None], 3, axis=2)
        image.header.SamplesPerPixel, image.header.PhotometricInterpretation = 3, "RGB"
        image.header.PlanarConfiguration = 0
    return images


def float_pixels(images: list[Image]) -> list[Image]:
    """Floating-point pixel data."""

    def finish(ds: Dataset) -> None:
        del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
        ds.BitsAllocated = 32
        ds.FloatPixelData = values[ds.SOPInstanceUID]

    values = {i.header.SOPInstanceUID: i.values.astype("<f4").tobytes() for i in images}
    for image in images:
        image.finish = finish
    return images


CASES = (
    slopes, signed_12, high_bit_15, overlay_bits, monochrome1, modality_lut, palette, rgb, float_pixels,
)  # fmt: skip
