"""Encode: arrays as text inside the page, for its script and for plain ``<img>``."""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medidiff.volume import FloatArray

INFERNO = "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4"
"""Colours of the uncertainty scale from none to much, as in matplotlib's map of that name."""


def packed(stored: NDArray[np.int16]) -> str:
    """Whole steps ``[y, x]`` as base64 of zlib of zigzag differences, low bytes first, then high bytes.

    Each pixel is stored as its difference from the left neighbour (the first of a row: from the one above),
    which halves the size of a noisy slice. The page's script undoes it exactly.
    """
    wide = stored.astype(np.int32)
    steps = np.diff(wide, axis=1, prepend=0)
    steps[:, 0] = np.diff(wide[:, 0], prepend=0)
    steps = ((steps + 0x8000) & 0xFFFF) - 0x8000  # modulo 2^16: a step may be wider than int16
    zigzag = ((steps << 1) ^ (steps >> 31)).astype(np.uint16)
    planes = (zigzag & 0xFF).astype(np.uint8).tobytes() + (zigzag >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")


def grey(image: FloatArray, centre: float, width: float) -> NDArray[np.uint8]:
    """8-bit picture of an image in a window."""
    low = centre - width / 2
    return np.asarray(np.rint(np.clip((image - low) / width, 0.0, 1.0) * 255), np.uint8)


def png(picture: NDArray[np.uint8], *, colour: bool = False, width: int | None = None) -> str:
    """An 8-bit picture as a ``data:image/png`` URI.

    Args:
        picture: ``[y, x]``.
        colour: in the colours of the uncertainty scale.
        width: no wider than this, pixels.
    """
    from PIL import Image

    image: Any = Image.fromarray(picture)
    if width is not None and width < image.width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
    if colour:
        image = image.convert("P")
        image.putpalette(colours().ravel().tolist())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def colours() -> NDArray[np.uint8]:
    """The 256 colours of the uncertainty scale ``[256, 3]``."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in INFERNO.split()], float)
    place = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(place, np.arange(len(stops)), stops[:, k]) for k in range(3)]
    return np.asarray(np.rint(np.stack(channels, 1)), np.uint8)
