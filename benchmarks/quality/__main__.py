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
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers import NOT_APPLICABLE, Answer, Peer, best, peers_for

from medidiff.denoise import Denoiser
from medidiff.engines import EngineSettings, create
from medidiff.models import load
from medidiff.noise.spectrum import named_kernel
from quality import cost, gates, ours, plots, table
from quality.case import SEED, Case, Slot
from quality.ct_cases import DOSES, ct_slots
from quality.mr_cases import LEVELS, mr_slots
from quality.rows import Row, Rows
from quality.scoring import PROTOCOL, score

VERSION = 2
"""Of the cases and figures; rows of another version are of another run."""


def run(
    slots: list[Slot], rows: Rows, denoiser: Denoiser, peers: dict[str, Peer], own: tuple[str, ...]
) -> None:
    """Fills in the rows that are missing, with a line of progress for each case."""
    methods = [("noisy", "-"), *((n, ours.GIVEN.get(n, "a wrong SD")) for n in own)]
    methods += [(n, p.given) for n, p in peers.items()]
    total, start, made = sum(len(s.levels) for s in slots), time.monotonic(), 0
    for number, (slot, level) in enumerate((s, v) for s in slots for v in s.levels):
        wanted = rows.pending(f"{slot.name} {level}", methods)
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
) -> list[tuple[str, Answer, str]]:
    found = [("noisy", Answer(case.noisy, 0.0), "-")] if "noisy" in wanted else []
    mine = [n for n in wanted if n != "noisy" and n not in peers]
    for name, answer in ours.answers(case, denoiser, mine).items():
        found.append((name, answer, ours.GIVEN.get(name, "a wrong SD")))
    for name in [n for n in wanted if n in peers]:
        found.append((name, best(peers[name].run, case.given(), case.reference), peers[name].given))
    return found


def measure_memory(
    case: Case, rows: Rows, bundle: str, peers: dict[str, Peer], own: tuple[str, ...], weights: Path
) -> None:
    """Peak memory of the methods that have none yet, each in a process of its own."""
    for name in (n for n in (*own, *peers) if n not in rows.costs and ", sigma x" not in n):
        if name in peers:
            found = cost.of_peer(name, case.given(), weights if peers[name].learned else None)
        else:
            mode = "natural" if name == "natural" else "mean"
            found = cost.of_mode(mode, bundle, case.volume, None if "auto" in name else case.sigma)
        rows.add_cost(name, found)
        print(f"{name}: peak {found:.0f} MB", file=sys.stderr, flush=True)


def report(rows: Rows, title: str, peers: dict[str, Peer], own: tuple[str, ...], modality: str) -> str:
    """Everything in Markdown."""
    done = rows.latest()
    swept = [n for n in own if ", sigma x" in n]
    methods = ["noisy", *peers, *(n for n in own if n not in swept)]
    unlearned = [n for n, p in peers.items() if not p.learned]
    given = {n: p.given for n, p in peers.items()} | {n: ours.GIVEN[n] for n in own if n in ours.GIVEN}
    parts = [title, table.quality_table(done, methods, rows.costs), PROTOCOL + "."]
    for mode in ("mean", "natural"):
        parts += [f"### `{mode}` beside the others, PSNR", table.difference_table(done, methods, mode)]
    if any(r.method in swept for r in done):
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
    parser.add_argument("modality", choices=["ct", "mr"])
    parser.add_argument("--bundle", help="model name or folder (default: the shipped one)")
    parser.add_argument("--slices", type=int, default=4, help="slices of each series")
    parser.add_argument("--doses", "--levels", nargs="+", metavar="PERCENT", help="such as 25%% or 6")
    parser.add_argument("--kernel", choices=["soft", "sharp"], default="soft", help="of the noise (CT)")
    parser.add_argument("--only", action="append", metavar="METHOD", help="only this method; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="medidiff alone")
    parser.add_argument("--no-sweep", action="store_true", help="without the rows of a wrong noise level")
    parser.add_argument("--no-memory", action="store_true", help="without the processes that measure memory")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--weights", type=Path, default=Path("runs/peers"), help="retrained networks")
    parser.add_argument("--rows", type=Path, help="default: runs/quality-MODALITY-KERNEL.jsonl")
    parser.add_argument("--fresh", action="store_true", help="throw away the rows that are there")
    parser.add_argument(
        "--report-only", action="store_true", help="tables and plots of the rows that are there"
    )
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--plots", type=Path, help="folder for the plots")
    return parser.parse_args()


def main() -> None:
    """Runs the table of one modality."""
    options = parse()
    ct, modality = options.modality == "ct", options.modality
    name = options.bundle or modality
    bundle = load(name)
    peers = {} if options.no_peers else {p.name: p for p in peers_for(modality, options.weights)}
    for peer in [p for p in peers.values() if p.missing]:
        print(f"{peer.name}: the package {peer.needs} is not installed, left out", file=sys.stderr)
        del peers[peer.name]
    own = ours.names(not options.no_sweep)
    if unknown := set(options.only or ()) - {*peers, *own}:
        sys.exit(f"No such method: {', '.join(unknown)}. Known: {', '.join((*peers, *own))}")
    if options.only:
        peers = {n: p for n, p in peers.items() if n in options.only}
        own = tuple(n for n in own if n in options.only)
    levels = [float(v.rstrip("%")) / 100.0 for v in options.doses or ()] or (DOSES if ct else LEVELS)
    header = {
        "version": VERSION,
        "modality": modality,
        "model": f"{bundle.name} {bundle.version} {bundle.sha256[:12]}",
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
        denoiser = Denoiser(bundle, create("openvino", bundle, EngineSettings(precision=options.precision)))
        source = ct_slots(options.slices, named_kernel(options.kernel), levels) if ct else mr_slots(
            options.slices, levels
        )  # fmt: skip
        slots = list(source)
        run(slots, rows, denoiser, peers, own)
        if not options.no_memory:
            case = slots[0].make(slots[0].levels[0])
            measure_memory(case, rows, name, peers, own, options.weights)
    title = ", ".join(f"{k} {v}" for k, v in header.items() if k != "version")
    text = report(rows, f"{title}. Means over patients (95 % bootstrap over patients).", peers, own, modality)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")
    if options.json:
        entries = [asdict(r) for r in rows.latest()]
        options.json.write_text(
            json.dumps({"header": header, "rows": entries, "peak_mb": rows.costs}, indent=1)
        )
    if options.plots:
        shown = ["noisy", *peers, *(n for n in own if ", sigma x" not in n)]
        for path in plots.write_plots(rows.latest(), shown, modality, options.plots):
            print(path, file=sys.stderr)


if __name__ == "__main__":
    main()
