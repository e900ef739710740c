"""Quality on held-out patients, beside other methods on the same slices in the same run.

    python benchmarks/quality ct [--slices 4] [--doses 25%] [--only METHOD] [--markdown FILE] [--plots FOLDER]
    python benchmarks/quality mr

CT: noise is inserted in the projection domain (360 views, fixed seeds) into slices of the `val` patients
down to 50, 25 and 10 % of their dose. MR: Rician noise of 3, 6, 9 and 15 % of the foreground p99. Rows
"noisy reference" are against the scans themselves, rows "nearly noise-free truth" (CT) against means of
three slices binned two by two: see quality/ct_cases.py and quality/mr_cases.py before comparing the two.

Every finished figure goes to a JSON-lines file (--rows); the same command goes on where it was stopped.
Networks that learned/train.py has retrained take part where their weights are (--weights).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from learned.spec import TITLES
from peers import NOT_APPLICABLE, Answer, Peer, best, peers_for

from medidiff.denoise import Denoiser
from quality import cost, gates, ours, plots, table
from quality.case import NOISY, SEED, Case, Slot
from quality.rows import Row, Rows
from quality.scoring import PROTOCOL, score
from quality.sets import add_options, denoiser_of, fractions, slots

VERSION = 3
"""Of the cases and figures; rows of another version are of another run."""


def run(
    slots: list[Slot], rows: Rows, denoiser: Denoiser, peers: dict[str, Peer], own: tuple[str, ...]
) -> None:
    """Fills in the rows that are missing, with a line of progress for each case."""
    methods = [("noisy", "-"), *((n, ours.given(n, model_of(denoiser))) for n in own)]
    methods += [(n, p.given) for n, p in peers.items()]
    total, start, made = sum(len(s.levels) for s in slots), time.monotonic(), 0
    for number, (slot, level) in enumerate((s, v) for s in slots for v in s.levels):
        asked = [m for m in methods if slot.kind == NOISY or m[0] != "mean_ref"]
        wanted = rows.pending(f"{slot.name} {level}", asked)
        if wanted:
            case, made = slot.make(level), made + 1
            for name, answer, given in _answers(case, wanted, denoiser, peers):
                figures = score(case, answer.image)
                rows.add(
                    Row(
                        case.id, case.label, case.patient, level, case.kind,
                        name, given, figures, answer.seconds,
                    )
                )  # fmt: skip
            each = (time.monotonic() - start) / made
            left = each * (total - number - 1) / 60.0
            print(f"{number + 1}/{total}  about {left:.0f} min left  {case.id}", file=sys.stderr, flush=True)


def _answers(
    case: Case, wanted: list[str], denoiser: Denoiser, peers: dict[str, Peer]
) -> Iterator[tuple[str, Answer, str]]:
    """Name, answer and what was told, one after the other, so that each is kept as soon as it is there."""
    for name in wanted:
        if name == "noisy":
            yield name, Answer(case.noisy, 0.0), "-"
        elif name in peers:
            yield name, best(peers[name].run, case.given(), case.reference), peers[name].given
        else:
            for mode, answer in ours.answers(case, denoiser, [name]).items():
                yield mode, answer, ours.given(mode, model_of(denoiser))


def model_of(denoiser: Denoiser) -> str:
    """Name, version and weights of the model; the peers' rows do not depend on it."""
    bundle = denoiser.bundle
    return f"model {bundle.name} {bundle.version} {bundle.sha256[:12]}"


def measure_memory(
    slot: Slot, rows: Rows, bundle: str, peers: dict[str, Peer], own: tuple[str, ...], weights: Path
) -> None:
    """Peak memory of the methods that have none yet, each in a process of its own on one slice."""
    missing = [n for n in (*own, *peers) if n not in rows.costs and ", sigma x" not in n]
    if not missing:
        return
    case = slot.make(slot.levels[0])
    for name in missing:
        if name in peers:
            found = cost.of_peer(name, case.given(), weights if peers[name].learned else None)
        else:
            mode = "natural" if name == "natural" else "mean"
            found = cost.of_mode(mode, bundle, case.volume, None if "auto" in name else case.sigma)
        rows.add_cost(name, found)
        print(f"{name}: peak {found:.0f} MB", file=sys.stderr, flush=True)


def report(rows: Rows, title: str, modality: str) -> str:
    """Everything in Markdown, for all rows of the file."""
    done = rows.latest()
    unlearned = [p.name for p in peers_for(modality)]
    swept = [n for n in ours.names(True) if ", sigma x" in n]
    there = {r.method for r in done}
    methods = [n for n in ("noisy", *unlearned, *TITLES.values(), *ours.MODES) if n in there]
    given = {r.method: r.given for r in done if r.method in methods and r.method != "noisy"}
    parts = [title, table.quality_table(done, methods, rows.costs), PROTOCOL + "."]
    for mode in [m for m in ("mean", "natural") if m in there]:
        parts += [f"### `{mode}` beside the others, PSNR", table.difference_table(done, methods, mode)]
        if any("psnr_tissue" in r.figures for r in done):
            parts += [
                f"### `{mode}` beside the others, PSNR in tissue",
                table.difference_table(done, methods, mode, "psnr_tissue"),
            ]
    if there & set(swept):
        parts += [
            "### `mean` with a wrong noise level",
            table.difference_table(done, ["mean", *swept], "mean"),
        ]
    parts += ["### Gates", gates.gate_table(gates.gates(done, modality, unlearned))]
    parts += ["### What each method was given", table.given_table(given)]
    parts += [f"Not applicable: {name}: {why}." for name, why in NOT_APPLICABLE[modality].items()]
    return "\n\n".join(parts) + "\n"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, slices=4)
    parser.add_argument("--only", action="append", metavar="METHOD", help="only this method; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="medidiff alone")
    parser.add_argument("--no-sweep", action="store_true", help="without the rows of a wrong noise level")
    parser.add_argument("--no-memory", action="store_true", help="without the processes that measure memory")
    parser.add_argument("--weights", type=Path, default=Path("runs/peers"), help="retrained networks")
    parser.add_argument("--rows", type=Path, help="default: runs/quality-MODALITY-KERNEL.jsonl")
    parser.add_argument("--fresh", action="store_true", help="throw away the rows that are there")
    parser.add_argument("--report-only", action="store_true", help="tables of the rows that are there")
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    return parser.parse_args()


def competitors(options: argparse.Namespace) -> tuple[dict[str, Peer], tuple[str, ...]]:
    """The other methods and the modes of medidiff that are to be run."""
    peers = {} if options.no_peers else {p.name: p for p in peers_for(options.modality, options.weights)}
    for peer in [p for p in peers.values() if p.missing]:
        print(f"{peer.name}: the package {peer.needs} is not installed, left out", file=sys.stderr)
        del peers[peer.name]
    own = ours.names(not options.no_sweep)
    if unknown := set(options.only or ()) - {*peers, *own}:
        sys.exit(f"No such method: {', '.join(unknown)}. Known: {', '.join((*peers, *own))}")
    if options.only:
        peers = {n: p for n, p in peers.items() if n in options.only}
        own = tuple(n for n in own if n in options.only)
    return peers, own


def main() -> None:
    """Runs the table of one modality."""
    options = parse()
    ct, modality, denoiser = options.modality == "ct", options.modality, denoiser_of(options)
    header = {
        "version": VERSION,
        "modality": modality,
        "slices": options.slices,
        "noise": f"projection domain, {options.kernel} kernel" if ct else "Rician",
        "seed": SEED,
    }
    path = options.rows or Path("runs") / f"quality-{modality}{f'-{options.kernel}' if ct else ''}.jsonl"
    try:
        rows = Rows.open(path, header, options.fresh)
    except ValueError as error:
        sys.exit(str(error))
    if not options.report_only:
        peers, own = competitors(options)
        places = list(slots(modality, options.slices, fractions(options.levels), options.kernel))
        run(places, rows, denoiser, peers, own)
        if not options.no_memory:
            measure_memory(places[0], rows, options.bundle or modality, peers, own, options.weights)
    title = ", ".join([model_of(denoiser), *(f"{k} {v}" for k, v in header.items() if k != "version")])
    text = report(rows, f"{title}. Means over patients (95 % bootstrap over patients).", modality)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")
    if options.json:
        entries = {"header": header, "rows": [asdict(r) for r in rows.latest()], "peak_mb": rows.costs}
        options.json.write_text(json.dumps(entries, indent=1), "utf-8")
    if options.plots:
        names = ("noisy", *(p.name for p in peers_for(modality)), *TITLES.values(), *ours.MODES)
        for picture in plots.write_plots(rows.latest(), names, modality, options.plots):
            print(picture, file=sys.stderr)


if __name__ == "__main__":
    main()
