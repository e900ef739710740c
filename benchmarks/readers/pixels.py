"""Cases of pixels and files: scales, depths, transfer syntaxes, damage."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid as syntaxes
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from readers.scan import Image, NotBuiltError, bits, write

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


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


def _unsigned_12(images: list[Image]) -> list[Image]:
    """Scanner-like: 12 bits, unsigned, intercept -1024."""
    for image in images:
        bits(image.header, 12, signed=False)
        image.stored = np.clip(image.stored.astype(np.int32) + 1024, 0, 4095).astype(np.uint16)
        image.header.RescaleIntercept = "-1024"
    return images


def high_bit_15(images: list[Image]) -> list[Image]:
    """12 bits stored in the upper bits (high bit 15; retired)."""
    for image in _unsigned_12(images):
        image.truth = image.values
        image.header.HighBit = 15
        image.stored = image.stored << np.uint16(4)
    return images


def overlay_bits(images: list[Image]) -> list[Image]:
    """Overlay in an unused bit of the pixels."""
    for image in _unsigned_12(images):
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
    for image in _unsigned_12(images):
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


def _in_syntax(syntax: str, name: str, title: str) -> Callable[[list[Image]], list[Image]]:
    def build(images: list[Image]) -> list[Image]:
        for image in images:
            image.syntax = syntax
        return images

    build.__name__, build.__doc__ = name, title
    return build


ENCODED = tuple(
    _in_syntax(syntax, name, title)
    for syntax, name, title in (
        (syntaxes.ImplicitVRLittleEndian, "implicit", "Implicit VR."),
        (syntaxes.ExplicitVRBigEndian, "big_endian", "Big endian."),
        (syntaxes.DeflatedExplicitVRLittleEndian, "deflated", "Deflated."),
        (syntaxes.RLELossless, "rle", "RLE."),
        (syntaxes.JPEGLSLossless, "jpegls", "JPEG-LS lossless."),
        (syntaxes.JPEG2000Lossless, "jpeg2000", "JPEG 2000 lossless."),
    )
)


def _tool(program: str, *arguments: str) -> None:
    """Runs one of dcmtk's tools."""
    if shutil.which(program) is None:
        raise NotBuiltError(f"needs {program} (Debian package dcmtk)")
    subprocess.run([program, *arguments], check=True, capture_output=True)


def _by_dcmtk(images: list[Image], syntax: str, *options: str, lossy: bool = False) -> list[Image]:
    """Encodes with dcmcjpeg; the truth of a lossy image is what dcmdjpeg makes of it."""
    with tempfile.TemporaryDirectory() as scratch:
        plain, packed, back = (str(Path(scratch) / n) for n in ("plain.dcm", "packed.dcm", "back.dcm"))
        for image in images:
            image.tolerance = float(lossy)
            write(image, Path(plain))
            _tool("dcmcjpeg", *options, plain, packed)
            ds = pydicom.dcmread(packed)
            if ds.file_meta.TransferSyntaxUID != syntax:
                raise NotBuiltError(f"dcmcjpeg wrote {ds.file_meta.TransferSyntaxUID.name}")
            if lossy:
                _tool("dcmdjpeg", packed, back)
                decoded = pydicom.dcmread(back)
                image.truth = decoded.pixel_array * float(decoded.RescaleSlope) + float(
                    decoded.RescaleIntercept
                )
                for keyword in (
                    "RescaleSlope",
                    "RescaleIntercept",
                    "BitsStored",
                    "HighBit",
                    "PixelRepresentation",
                ):
                    image.header[keyword] = ds[keyword]
            image.finish = _encapsulated(ds.PixelData, syntax)
    return images


def _encapsulated(data: bytes, syntax: str) -> Callable[[Dataset], None]:
    def finish(ds: Dataset) -> None:
        ds.PixelData = data
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = syntax

    return finish


def jpeg_lossless(images: list[Image]) -> list[Image]:
    """JPEG lossless."""
    return _by_dcmtk(images, JPEG_LOSSLESS, "+e1")


def jpeg_extended(images: list[Image]) -> list[Image]:
    """JPEG Extended, 12 bit (lossy; truth by dcmdjpeg, decoders may differ by 1)."""
    return _by_dcmtk(_unsigned_12(images), JPEG_EXTENDED, "+ee", "+q", "95", lossy=True)


def fragments(images: list[Image]) -> list[Image]:
    """JPEG 2000, each frame in 5 fragments, empty offset table."""

    def split(ds: Dataset) -> None:
        (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
        ds.PixelData = encapsulate([frame], fragments_per_frame=5, has_bot=False)

    for image in images:
        image.syntax, image.finish = syntaxes.JPEG2000Lossless, split
    return images


def gzipped(images: list[Image]) -> list[Image]:
    """Files packed with gzip."""
    for image in images:
        image.file, image.damage = f"{image.file}.gz", gzip.compress
    return images


def truncated(images: list[Image]) -> list[Image]:
    """One file ends in mid-pixels."""
    image = images[len(images) // 2]
    image.damage = lambda data: data[: len(data) * 2 // 3]
    return images


def damaged_jpegls(images: list[Image]) -> list[Image]:
    """One JPEG-LS file ends in mid-pixels."""
    for image in images:
        image.syntax = syntaxes.JPEGLSLossless
    return truncated(images)


def headless(images: list[Image]) -> list[Image]:
    """One file without preamble and file meta information."""
    image = images[len(images) // 2]
    image.damage = lambda data: data[_meta_end(data) :]
    return images


def _meta_end(data: bytes) -> int:
    """Where the data set starts: behind the preamble and the group of the file meta information."""
    return 144 + int.from_bytes(data[140:144], "little")


CASES = (
    slopes, signed_12, high_bit_15, overlay_bits, monochrome1, modality_lut, palette, rgb, float_pixels,
    *ENCODED, jpeg_lossless, jpeg_extended, fragments, gzipped, truncated, damaged_jpegls, headless,
)  # fmt: skip
