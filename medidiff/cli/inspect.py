"""``medidiff inspect``: what is there, before anything is done; loads no engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.columns import print_words
from medidiff.cli.options import (
    INPUT,
    HelpfulCommand,
    json_flag,
    modality_option,
    progress_option,
    talk_options,
)

if TYPE_CHECKING:
    from medidiff.io import Discovery, SeriesItem

MAX_PATHS = 3


@click.command(cls=HelpfulCommand, short_help="Show what lies under a path.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=INPUT)
@click.option("--noise", is_flag=True, help="Also read the pixels and estimate the noise level.")
@modality_option
@json_flag
@progress_option
@talk_options
def command(
    paths: tuple[Path, ...],
    noise: bool,
    modality: str,
    as_json: bool,
    progress: str,
    quiet: bool,
    verbose: bool,
) -> int:
    """Show what lies under a path: series, geometry, modality, and what is skipped and why.

    PATH is a file, a zip or a folder, searched to any depth; headers alone are read. With --noise the table
    shows the noise level that `medidiff denoise` starts from. Where two series have one name, or with -v, it
    also shows where each of them lies.

    \b
    medidiff inspect scans/
    medidiff inspect scans/ --noise
    medidiff inspect scans/ --json > scans.json
    """
    from medidiff.cli.progress import counter
    from medidiff.errors import NoImageError, RefusedError
    from medidiff.io import discover

    with counter(progress, "files", None, quiet=quiet) as step:
        discovery = discover(paths, step)
    with counter(progress, "noise levels", len(discovery.items), quiet=quiet or not noise) as step:
        found = []
        for k, item in enumerate(discovery.items, start=1):
            found.append(_series(item, modality if noise else None))
            step(k, len(discovery.items))
    code = 0 if found else _code(discovery)
    if as_json:
        content = {"tool": "medidiff", "series": found, "skipped": _skipped(discovery)}
        click.echo(json.dumps(content, indent=2))
        return code
    if found:
        _print_table(found, verbose)
    _print_skipped(discovery, quiet, verbose)
    if code:
        kind = NoImageError if code == NoImageError.exit_code else RefusedError
        where = paths[0] if len(paths) == 1 else None
        raise kind("no CT or MR image that can be processed", where=where)
    return 0


def _series(item: SeriesItem, modality: str | None) -> dict[str, Any]:
    """One series as plain values; its noise is estimated unless `modality` is None."""
    out: dict[str, Any] = {
        "path": str(item.path),
        "kind": item.kind,
        "modality": item.modality,
        "label": item.label,
        "description": item.description,
        "series_uid": item.series_uid,
        "series_number": item.number,
        "shape_zyx": list(item.shape),
        "spacing_zyx_mm": [round(s, 5) for s in item.spacing],
        "volumes": item.volumes,
        "files": len(item.files),
        "stack": list(item.part),
        "regular": item.regular,
        "tilt_degrees": round(item.tilt, 3),
        "made_by_medidiff": item.own_output,
        "notes": list(item.notes),
    }
    if modality is not None:
        out["modality"], out["noise"] = _noise(item, modality)
    return out


def _noise(item: SeriesItem, modality: str) -> tuple[str, dict[str, Any]]:
    """The modality that the values tell, and the noise level or why there is none."""
    from medidiff.errors import MedidiffError
    from medidiff.io import read
    from medidiff.noise.estimate import estimate

    told: str = item.modality
    try:
        volume = read(item)
        if modality != "auto":
            volume = volume.taken_as("CT" if modality == "ct" else "MR")
        told = volume.modality
        found = estimate(volume)
    except MedidiffError as error:
        return told, {"sigma": None, "code": error.code, "problem": str(error)}
    name = "frequency_lp_cm" if told == "CT" else "zero_fill"
    frequency = found.kernel_frequency
    return told, {
        "sigma": round(found.sigma, 4),
        "unit": found.unit,
        "method": found.method,
        "pixels": found.n_pixels,
        name: None if frequency is None else round(frequency, 3),
    }


def _skipped(discovery: Discovery) -> list[dict[str, Any]]:
    from medidiff.batch.skips import skip_groups

    return [
        {
            "code": reason.name,
            "reason": reason.value,
            "detail": detail,
            "files": len(paths),
            "paths": [str(p) for p in paths],
        }
        for reason, detail, paths in skip_groups(discovery.skipped)
    ]


def _code(discovery: Discovery) -> int:
    from medidiff.batch.skips import nothing_found

    return nothing_found((), discovery.skipped).exit_code


def _print_table(found: list[dict[str, Any]], verbose: bool) -> None:
    from medidiff.errors import readable

    names = [f"{s['modality']} {s['description'] or Path(s['path']).name}" for s in found]
    noisy = any("noise" in s for s in found)
    placed = verbose or len({(name, *s["stack"]) for name, s in zip(names, found, strict=True)}) < len(found)
    optional = ("noise SD",) * noisy + ("path",) * placed
    rows = []
    for name, s in zip(names, found, strict=True):
        z, y, x = s["shape_zyx"]
        size = f"{x} {y} {z // s['volumes']}" + (f" x{s['volumes']}" if s["volumes"] > 1 else "")
        dz, dy, dx = s["spacing_zyx_mm"]
        noise = s.get("noise")
        level = "" if noise is None else "unknown"
        if noise and noise["sigma"] is not None:
            level = f"{noise['sigma']:.3g} {noise['unit']}"
        remarks = [f"stack {s['stack'][0]} of {s['stack'][1]}"] if s["stack"][1] > 1 else []
        remarks += s["notes"]
        remarks += ["made by medidiff"] if s["made_by_medidiff"] else []
        remarks += [noise["problem"]] if noise and "problem" in noise else []
        grid = (size, f"{dx:.3g} {dy:.3g} {dz:.3g}")
        more = (level,) * noisy + (readable(s["path"]),) * placed
        rows.append((readable(name), *grid, *more, "; ".join(remarks)))
    print_words(("series", "size x,y,z", "mm x,y,z", *optional, "remarks"), rows)


def _print_skipped(discovery: Discovery, quiet: bool, verbose: bool) -> None:
    from medidiff.errors import readable

    if quiet:
        return
    for group in _skipped(discovery):
        detail = f" ({group['detail']})" if group["detail"] else ""
        paths = group["paths"] if verbose else group["paths"][:MAX_PATHS]
        more = ", ..." if len(paths) < group["files"] else ""
        files = "file" if group["files"] == 1 else "files"
        shown = readable(", ".join(paths))
        click.echo(f"skipped: {group['files']} {files}: {group['reason']}{detail}: {shown}{more}")
