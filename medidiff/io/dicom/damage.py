"""What a damaged DICOM element makes pydicom raise, turned into one sentence that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import MedidiffError, PixelError

HINT = "The file may be damaged; fetch it again."


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Gives an error that names the file, and no more: pydicom's own words could quote names.

    Discovery looks at few elements; reading and copying meet the others.

    Args:
        path: the file whose header is looked at.

    Raises:
        PixelError: an element cannot be parsed.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except MedidiffError as error:
        if error.where is not None or not isinstance(error, PixelError):
            raise
        raise PixelError(error.what, where=path, received=error.received, hint=HINT) from error
    except Exception as error:  # pydicom raises almost anything
        raise PixelError(
            "the header has an element that cannot be parsed", where=path, received=type(error).__name__,
            hint=HINT,
        ) from error  # fmt: skip
