"""Cases of files: transfer syntaxes, packing, damage."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom import uid as syntaxes
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from readers.pixels import unsigned_12
from readers.scan import Image, NotBuiltError, write

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


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
        ds.file_meta.TransferSyntaxUID = syntaxes.UID(syntax)

    return finish


def jpeg_lossless(images: list[Image]) -> list[Image]:
    """JPEG lossless."""
    return _by_dcmtk(images, JPEG_LOSSLESS, "+e1")


def jpeg_extended(images: list[Image]) -> list[Image]:
    """JPEG Extended, 12 bit (lossy; truth by dcmdjpeg, decoders may differ by 1)."""
    return _by_dcmtk(unsigned_12(images), JPEG_EXTENDED, "+ee", "+q", "95", lossy=True)


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


CASES = (*ENCODED, jpeg_lossless, jpeg_extended, fragments, gzipped, truncated, damaged_jpegls, headless)
