"""Logbook: curves and pictures of a run, for TensorBoard, or as JSON lines where there is no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medidiff.errors import OutputError
from medidiff.volume import FloatArray

LINES = "log.jsonl"


class TensorBoard:
    """Writes what TensorBoard reads.

    Args:
        folder: of the logs.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf: Any = tf
        self._folder = folder
        with _told(folder, tf.errors.OpError):
            self._writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, figures: dict[str, float], step: int) -> None:
        """Notes figures of a step."""
        with _told(self._folder, self._tf.errors.OpError), self._writer.as_default():
            for name, value in figures.items():
                self._tf.summary.scalar(name, value, step=step)

    def image(self, name: str, picture: FloatArray, step: int) -> None:
        """Notes a picture ``[1, h, w, 1]`` in [0, 1]."""
        with _told(self._folder, self._tf.errors.OpError), self._writer.as_default():
            self._tf.summary.image(name, picture, step=step)


class JsonLines:
    """Writes one JSON object a step; pictures are left out.

    Args:
        folder: of the logs.
    """

    def __init__(self, folder: Path) -> None:
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / LINES

    def scalars(self, figures: dict[str, float], step: int) -> None:
        """Notes figures of a step."""
        with _told(self._path), self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": step, **figures}) + "\n")

    def image(self, name: str, picture: FloatArray, step: int) -> None:
        """Nothing."""


@contextmanager
def _told(where: Path, *more: type[Exception]) -> Iterator[None]:
    """Turns an error of writing, or one of `more`, into one sentence."""
    kinds: tuple[type[Exception], ...] = (OSError, *more)
    try:
        yield
    except kinds as error:
        raise OutputError(
            "The log cannot be written", where=where, received=" ".join(str(error).split())[-120:],
            hint="The last checkpoint is kept: mend the cause, then --resume.",
        ) from error  # fmt: skip


def open_log(folder: Path, backend: str) -> TensorBoard | JsonLines:
    """The logbook for a backend of Keras; TensorFlow is not loaded beside another backend."""
    if backend == "tensorflow" and find_spec("tensorflow") is not None:
        return TensorBoard(folder)
    return JsonLines(folder)
