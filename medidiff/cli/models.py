"""``medidiff models``: list, show, export, verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medidiff.cli.columns import print_words
from medidiff.cli.options import EPILOG, SETTINGS, HelpfulCommand, json_flag, talk_options
from medidiff.cli.types import SizeType

if TYPE_CHECKING:
    from medidiff.models.bundle import Bundle

FORMATS = ("onnx", "openvino", "tflite")
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite"}


@click.group(epilog=EPILOG, context_settings=SETTINGS, short_help="List, show, export and verify models.")
def command() -> None:
    """List, show, export and verify models.

    A model is a folder with its network, its description and its card. Shipped models are known by name;
    those in $MEDIDIFF_HOME/models are too; any other is given as a path.
    """


@command.command("list", cls=HelpfulCommand, short_help="List the models at hand.")
@json_flag
@talk_options
def list_models(as_json: bool, quiet: bool, verbose: bool) -> int:
    """List the models at hand, with version, modality and licence."""
    from medidiff.errors import ModelError

    rows = summaries()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    if not rows:
        raise ModelError("There is no model", hint="Reinstall medidiff, or set MEDIDIFF_HOME.")
    _print_table(rows)
    return 0


@command.command("show", cls=HelpfulCommand, short_help="Show a model's card.")
@click.argument("name")
@json_flag
@talk_options
def show(name: str, as_json: bool, quiet: bool, verbose: bool) -> int:
    """Show the card of model NAME (a name of `models list`, or a folder)."""
    from medidiff.models.store import load

    bundle = load(name)
    if as_json:
        click.echo(json.dumps({**_facts(bundle), "card": bundle.card}, indent=2))
        return 0
    click.echo(bundle.card.rstrip())
    return 0


@command.command("verify", cls=HelpfulCommand, short_help="Check models against their sha256.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@talk_options
def verify_models(names: tuple[str, ...], quiet: bool, verbose: bool) -> int:
    """Check the files of models against their sha256, and the weights against the network's shape."""
    from medidiff.errors import ModelError
    from medidiff.models.store import list_bundles, load, verify

    failures = 0
    for name in names or [n for n, _ in list_bundles()]:
        try:
            bundle = load(name)
            checks = verify(bundle)
        except ModelError as error:
            failures += 1
            click.echo(f"medidiff: error: {error}", err=True)
            continue
        if not quiet:
            click.echo(f"{name}: ok, sha256 {bundle.sha256}")
            for check in checks if verbose else ():
                click.echo(f"  {check}")
    return ModelError.exit_code if failures else 0


@command.command("export", cls=HelpfulCommand, short_help="Write a model for other programs.")
@click.argument("name")
@click.option("--format", "kind", type=click.Choice(FORMATS), default="onnx", help="Format to write.")
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path), required=True, metavar="PATH",
    help="File to write: .onnx, .tflite, or .xml with a .bin beside it.",
)  # fmt: skip
@click.option(
    "--size", type=SizeType(), default=None, show_default="512,512", metavar="H,W",
    help="Height and width that a tflite file is for; the other formats take any.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@talk_options
def export(
    name: str,
    kind: str,
    path: Path,
    size: tuple[int, int] | None,
    overwrite: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Write the network of model NAME as ONNX, OpenVINO IR (.xml and .bin) or TensorFlow Lite, in float32."""
    from medidiff.errors import UsageError
    from medidiff.io.atomic import check_target, staged
    from medidiff.models.store import load

    bundle = load(name)
    wanted = SUFFIXES[kind]
    if path.suffix.lower() != wanted:
        raise UsageError(f"A file of format {kind} ends in {wanted}", received=path)
    if size is not None and kind != "tflite":
        raise UsageError(
            f"A file of format {kind} takes pictures of any size", received=f"--size {size[0]},{size[1]}",
            hint="Leave out --size.",
        )  # fmt: skip
    check_target(path, overwrite=overwrite, inputs=())
    if kind != "openvino":
        data = bundle.network if kind == "onnx" else _tflite(bundle, size)
        with staged(path, folder=False, overwrite=overwrite, inputs=()) as new:
            new.write_bytes(data)
        click.echo(str(path))
        return 0
    weights = path.with_suffix(".bin")
    options: dict[str, Any] = {"folder": False, "overwrite": overwrite, "inputs": ()}
    with staged(weights, extension=".bin", **options) as beside:
        with staged(path, extension=".xml", **options) as new:
            _save_ir(bundle, new, path)
            new.with_suffix(".bin").replace(beside)
    click.echo(str(path))
    click.echo(str(weights))
    return 0


def _tflite(bundle: Bundle, size: tuple[int, int] | None) -> bytes:
    from medidiff.models.tflite import SIZE, to_tflite

    return to_tflite(bundle.config, bundle.network, size or SIZE)


def _save_ir(bundle: Bundle, new: Path, path: Path) -> None:
    """Writes OpenVINO IR to `new`; errors name `path`, which the user gave."""
    from medidiff.engines.base import library
    from medidiff.errors import OutputError

    openvino = library("openvino", None)
    model = openvino.Core().read_model(bundle.network, b"")
    try:
        openvino.save_model(model, str(new), compress_to_fp16=False)
    except RuntimeError as error:  # OpenVINO does not say why: the system does, when asked for as much room
        new.with_suffix(".probe").write_bytes(bytes(2 * len(bundle.network)))
        raise OutputError(
            "cannot be written by OpenVINO", where=path, received=" ".join(str(error).split())[:200],
            hint="Choose another folder (-o).",
        ) from error  # fmt: skip


def summaries() -> list[dict[str, Any]]:
    """The facts of every model at hand, or why it cannot be used."""
    from medidiff.models.store import list_bundles

    return [_summary(name, folder) for name, folder in list_bundles()]


def _facts(bundle: Bundle) -> dict[str, Any]:
    """What can be said of a bundle in a line."""
    return {
        "name": bundle.name,
        "version": bundle.version,
        "modality": bundle.modality,
        "licence": bundle.licence,
        "attribution": list(bundle.attribution),
        "trained": _trained(bundle),
        "sha256": bundle.sha256,
        "megabytes": round(len(bundle.network) / 1e6, 3),
        "path": str(bundle.folder),
    }


def _trained(bundle: Bundle) -> dict[str, list[float]]:
    """What the model was trained on: noise SD, pixel size, mean noise frequency (MR: zero-fill factor)."""
    from medidiff.intensity import Intensity

    known = {"pixel_mm": list(bundle.trained.pixel_mm), "texture": list(bundle.trained.kernel)}
    if bundle.modality == "ct":
        return {**known, "sigma_hu": [round(s * Intensity.ct().scale, 1) for s in bundle.trained.sigma]}
    return {**known, "sigma_share_of_p99": list(bundle.trained.sigma)}


def _summary(name: str, folder: Path) -> dict[str, Any]:
    """The facts of a bundle, or why it cannot be used."""
    from medidiff.errors import ModelError
    from medidiff.models.store import load

    try:
        return {**_facts(load(folder.absolute())), "name": name, "problem": None}
    except ModelError as error:
        return {"name": name, "path": str(folder), "problem": str(error)}


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = []
    for row in rows:
        if row["problem"]:
            cells.append([row["name"], "damaged", "", "", "", "", row["problem"]])
        else:
            known = [row[key] for key in ("name", "version", "modality", "licence")]
            cells.append([*known, f"{row['megabytes']:.2f}", row["sha256"][:12], row["path"]])
    print_words(("name", "version", "modality", "licence", "MB", "sha256", "path"), cells)
