"""Bundles on disk: found by name, verified by sha256, written all or nothing.

A bundle is a folder of ``bundle.json`` (shape, constants, ranges, licence), ``network.onnx`` (the only
weights file) and ``CARD.md``. Loading reads bytes and JSON alone: no framework, no pickle, no network access.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from medidiff.errors import MedidiffError, ModelError, OutputError
from medidiff.models.bundle import Bundle, Trained
from medidiff.models.config import UNetConfig
from medidiff.models.processes import MATCHED

FORMAT_VERSION = 2
"""The newest layout of bundle.json that this version reads. 2 adds the process; a bundle of the matched
process is written as 1, which older versions read too."""

MANIFEST, NETWORK, CARD = "bundle.json", "network.onnx", "CARD.md"
NOTICE = "Research use only. Not a medical device."
ZOO = Path(__file__).parent / "zoo"
"""Bundles that come with the package."""


def list_bundles() -> tuple[tuple[str, Path], ...]:
    """Names and folders of the bundles at hand: those of the package, then those in MEDIDIFF_HOME."""
    found: dict[str, Path] = {}
    for root in _roots():
        try:
            folders = sorted(root.iterdir())
        except OSError:  # not there, no folder, or not for us to read: nobody's models need it
            continue
        for folder in folders:
            with suppress(OSError):
                if (folder / MANIFEST).is_file():
                    found.setdefault(folder.name, folder)
    return tuple(found.items())


def load(name_or_path: str | os.PathLike[str]) -> Bundle:
    """Reads and verifies a bundle.

    Args:
        name_or_path: a name of `list_bundles`, or a folder. A known name wins over a folder of that name;
            write ``./ct`` for the folder.

    Raises:
        ModelError: unknown name, missing or damaged file, format of a newer medidiff.
    """
    folder = _find(name_or_path)
    manifest = _manifest(folder)
    files = {name: _verified(folder, name, manifest) for name in (NETWORK, CARD)}
    try:
        trained = manifest["trained"]
        shape = dict(manifest["network"])
        return Bundle(
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            modality=str(manifest["modality"]),
            config=UNetConfig(**{**shape, "channels": tuple(map(int, shape["channels"]))}),
            sigma_data=float(manifest["sigma_data"]),
            trained=Trained(**{k: _pair(trained[k]) for k in ("sigma", "kernel", "pixel_mm")}),
            network=files[NETWORK],
            uncertainty=tuple(_pair(p) for p in manifest["uncertainty"]),
            precision={str(k): str(v) for k, v in manifest["precision"].items()},
            licence=str(manifest["licence"]),
            attribution=tuple(map(str, manifest["attribution"])),
            card=files[CARD].decode("utf-8"),
            process=str(manifest.get("process", MATCHED)),
            folder=folder,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            "The model's description is not complete", where=folder / MANIFEST, hint=f"({error!r})"
        ) from error


def save(bundle: Bundle, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Bundle:
    """Writes a bundle as a folder, all or nothing.

    Returns:
        The bundle as read back from the folder.

    Raises:
        OutputError: the folder exists and `overwrite` is False or it is no model, or it cannot be written.
    """
    target = Path(folder)
    if target.exists() and not (target / MANIFEST).is_file() and not _is_empty(target):
        raise OutputError(
            "This is no model, so it is not replaced", where=target, hint="Choose a folder of its own."
        )
    if target.exists() and not overwrite:
        raise OutputError("The folder exists already", where=target, hint="Use another name or overwrite it.")
    card = bundle.card.encode("utf-8")
    manifest: dict[str, Any] = {
        "format_version": 1 if bundle.process == MATCHED else 2,
        "name": bundle.name,
        "version": bundle.version,
        "modality": bundle.modality,
        "network": asdict(bundle.config),
        "sigma_data": bundle.sigma_data,
        "trained": asdict(bundle.trained),
        "uncertainty": bundle.uncertainty,
        "precision": dict(bundle.precision),
        "licence": bundle.licence,
        "attribution": bundle.attribution,
        "notice": NOTICE,
        "sha256": {NETWORK: bundle.sha256, CARD: _sha256(card)},
    }
    if bundle.process != MATCHED:
        manifest["process"] = bundle.process
    manifest["checksum"] = _checksum(manifest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            (new / NETWORK).write_bytes(bundle.network)
            (new / CARD).write_bytes(card)
            (new / MANIFEST).write_text(
                json.dumps(manifest, indent=2, default=float) + "\n", encoding="utf-8"
            )
            old = Path(scratch) / "old"
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except OSError as error:
        raise OutputError("The model cannot be written", where=target, hint=f"({error.strerror})") from error
    return replace(load(target.absolute()), folder=target)


def verify(bundle: Bundle) -> tuple[str, ...]:
    """Checks a loaded bundle more deeply than loading does.

    Returns:
        What was checked, one sentence each.

    Raises:
        ModelError: the files on disk changed, or the weights do not fit the network's shape.
    """
    done = []
    if bundle.folder is not None:
        if load(bundle.folder.absolute()) != bundle:
            raise ModelError("The files changed since the model was loaded", where=bundle.folder)
        done.append(f"{NETWORK}, {CARD} and {MANIFEST} match their checksums.")
    try:
        import onnx  # noqa: F401
    except ImportError:
        done.append("Weights not inspected: the package onnx is not installed.")
        return tuple(done)
    from medidiff.models.export import from_onnx, weight_shapes

    weights, shapes = from_onnx(bundle.network), weight_shapes(bundle.config)
    for path in sorted(set(weights) | set(shapes)):
        if path not in weights or path not in shapes or weights[path].shape != shapes[path]:
            raise ModelError("The weights do not fit the network's shape", received=path, where=bundle.folder)
        if not np.isfinite(weights[path]).all():
            raise ModelError("A weight is not finite", received=path, where=bundle.folder)
    done.append(f"{sum(w.size for w in weights.values()):,} weights fit the network's shape and are finite.")
    return tuple(done)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _roots() -> tuple[Path, ...]:
    """Folders whose subfolders are bundles."""
    home = os.environ.get("MEDIDIFF_HOME")
    return (ZOO, Path(home) / "models") if home else (ZOO,)


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder that a name or path means."""
    known = dict(list_bundles())
    text = os.fspath(name_or_path)
    if text in known:
        return known[text]
    path = Path(text)
    if path.is_file() and path.name in (MANIFEST, NETWORK):
        path = path.parent
    if (path / MANIFEST).is_file():
        return path
    if path.is_dir():
        raise ModelError("The folder is not a model", where=path, hint=f"It holds no {MANIFEST}.")
    close = difflib.get_close_matches(text.lower(), list(known), n=1)
    names = f"Known models: {', '.join(known) or 'none'}."
    raise ModelError(
        "There is no such model", received=text, hint=f"Did you mean {close[0]}? {names}" if close else names
    )


def _manifest(folder: Path) -> dict[str, Any]:
    """bundle.json, checked for format and integrity."""
    where = folder / MANIFEST
    try:
        manifest = json.loads(where.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"format {version}")
        if version > FORMAT_VERSION:
            raise ModelError(
                "The model was made for a newer medidiff", where=where, received=f"format {version}",
                hint=f"This version reads up to format {FORMAT_VERSION}: pip install -U medidiff.",
            )  # fmt: skip
        intact = manifest["checksum"] == _checksum(manifest)
    except MedidiffError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError("The model's description is unreadable", where=where, hint=f"({error!r})") from error
    if not intact:
        raise ModelError("The model's description is damaged", where=where, hint="Install the model again.")
    return dict(manifest)


def _verified(folder: Path, name: str, manifest: Mapping[str, Any]) -> bytes:
    """The bytes of a file, if they are those the manifest promises."""
    where = folder / name
    try:
        data = where.read_bytes()
    except OSError as error:
        raise ModelError(
            "A file of the model is missing", where=where, hint="Install the model again."
        ) from error
    promised = manifest.get("sha256")
    if not isinstance(promised, Mapping) or _sha256(data) != promised.get(name):
        raise ModelError(
            "The file is damaged: its sha256 is not the one in bundle.json", where=where,
            received=_sha256(data)[:16], hint="Install the model again.",
        )  # fmt: skip
    return data


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Digest of everything else in bundle.json, in canonical form."""
    rest = {k: v for k, v in manifest.items() if k != "checksum"}
    return _sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), default=float).encode("utf-8"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _pair(values: Any) -> tuple[float, float]:
    """Two floats."""
    first, second = values
    return float(first), float(second)
