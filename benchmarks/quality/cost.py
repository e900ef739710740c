"""Peak memory of a method: that of a fresh process which imports it and denoises one slice."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from measured import peak_mb
from peers import Given, peers_for

from medidiff.volume import Volume


def of_peer(name: str, given: Given, weights: Path | None) -> float:
    """Peak memory of another method on one slice, MB."""
    return _in_child(_run_peer, name, given, weights)


def of_mode(mode: str, bundle: str, volume: Volume, sigma: float | None) -> float:
    """Peak memory of a mode of medidiff on the slices of a case, MB."""
    return _in_child(_run_mode, mode, bundle, volume.array, volume.affine, volume.modality, sigma)


def _in_child(target: object, *arguments: object) -> float:
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(there, *arguments))  # type: ignore[arg-type]
    child.start()
    there.close()
    try:
        return float(here.recv())
    except EOFError:
        raise RuntimeError("the process that measures memory ended early") from None
    finally:
        child.join()


def _run_peer(answer: Connection, name: str, given: Given, weights: Path | None) -> None:
    peer = next(p for p in peers_for(given.modality, weights) if p.name == name)
    next(peer.run(given))
    answer.send(peak_mb())


def _run_mode(
    answer: Connection,
    mode: str,
    bundle: str,
    array: np.ndarray,
    affine: np.ndarray,
    modality: str,
    sigma: float | None,
) -> None:
    from medidiff.denoise import Denoiser, Settings
    from medidiff.engines import EngineSettings, create
    from medidiff.models import load

    model = load(bundle)
    denoiser = Denoiser(model, create("openvino", model, EngineSettings()))
    unit = "HU" if modality == "CT" else "a.u."
    denoiser.run(Volume(array, affine, modality, unit), Settings(mode=mode, sigma=sigma))  # type: ignore[arg-type]
    answer.send(peak_mb())
