"""The documents say what the code does: reasons, classes, transfer syntaxes, commands and options."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from medidiff.cli.main import VERBS, main
from medidiff.io import Reason
from medidiff.io.dicom.pixels import DECODABLE
from medidiff.io.dicom.sop_classes import CLASSIC, ENHANCED, NO_PICTURE

ROOT = Path(__file__).resolve().parents[1]
STATEMENT = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
MANUALS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/guide.md")}
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
PAGES = {**MANUALS, "docs/conformance.md": STATEMENT, "docs/training.md": TRAINING}

LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def rows(first: str) -> list[list[str]]:
    """Cells of the lines of the statement's tables whose first cell fits a pattern."""
    lines = [
        [c.strip() for c in line.strip("|").split(" | ")]
        for line in STATEMENT.splitlines()
        if line[:1] == "|"
    ]
    return [cells for cells in lines if re.fullmatch(first, cells[0])]


def test_every_reason_is_explained_once_in_its_own_words() -> None:
    told = [(cells[0].strip("`"), cells[1]) for cells in rows(r"`[A-Z_]+`")]
    assert sorted(told) == sorted((reason.name, reason.value) for reason in Reason)


def test_every_sop_class_is_listed() -> None:
    listed = {cells[1] for cells in rows(r".* Image Storage")}
    assert listed == {*CLASSIC, *ENHANCED}
    starts = re.findall(r"^\* (1\.2\.840\.10008\.5\.1\.4\.[\d.]+) ", STATEMENT, re.MULTILINE)
    assert set(starts) == set(NO_PICTURE)


def test_every_transfer_syntax_is_listed_with_its_name() -> None:
    from pydicom.uid import UID

    listed = {
        cells[1]: cells[0] for cells in rows(r".*") if cells[1:2] and cells[1].startswith("1.2.840.10008.1.2")
    }
    assert set(listed) == set(DECODABLE)
    for syntax, name in listed.items():
        word = name.split()[0].removesuffix(",")
        assert UID(syntax).name.startswith(word), name


def options_of(command: click.Command) -> set[str]:
    return {o for p in command.params if isinstance(p, click.Option) for o in (*p.opts, *p.secondary_opts)}


def all_commands() -> dict[str, click.Command]:
    """Every command by its words, such as ``models list``; the group itself is ``""``."""
    found: dict[str, click.Command] = {"": main}
    with click.Context(main) as ctx:
        for name in main.list_commands(ctx):
            command = main.get_command(ctx, name)
            assert command is not None
            found[name] = command
            if isinstance(command, click.Group):
                for part in command.list_commands(ctx):
                    inner = command.get_command(ctx, part)
                    assert inner is not None
                    found[f"{name} {part}"] = inner
    return found


COMMANDS = all_commands()
COMMON = {"-h", "--help"}


def code_of(text: str) -> list[str]:
    """Lines of code blocks, and code spans."""
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)


def calls(text: str) -> list[tuple[str, set[str]]]:
    """Command lines of medidiff in a document: the command, and the options used with it."""
    found = []
    for line in code_of(text):
        for part in re.split(r"&&|\|", line):
            words = part.strip().removeprefix("$ ").split()
            if not words or Path(words[0]).name != "medidiff":
                continue
            names = [w for w in words[1:3] if not w.startswith("-")]
            name = next(
                (n for n in (" ".join(names), *names[:1]) if n in COMMANDS), "" if not names else names[0]
            )
            found.append((name, {w.split("=")[0] for w in words[1:] if OPTION.fullmatch(w.split("=")[0])}))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_command_lines_work(page: str) -> None:
    for name, used in calls(PAGES[page]):
        assert name in COMMANDS, f"{page}: medidiff {name}"
        assert used <= options_of(COMMANDS[name]) | COMMON, f"{page}: medidiff {name}"


def test_the_recipe_of_the_manual_is_a_recipe(tmp_path: Path) -> None:
    """It loads, and is of the network of the shipped model that it adapts."""
    from medidiff import models
    from medidiff.training.recipe import load

    (recipe,) = re.findall(r"^```toml\n(.*?)^```", TRAINING, re.MULTILINE | re.DOTALL)
    (tmp_path / "my.toml").write_text(recipe, encoding="utf-8")
    config = load(tmp_path / "my.toml")
    shipped = models.load(config.modality)
    assert (config.network, config.sigma_data) == (shipped.config, shipped.sigma_data)
    assert f"MR: {models.load('mr').sigma_data}" in recipe


@pytest.mark.parametrize("page", PAGES)
def test_options_that_are_mentioned_exist(page: str) -> None:
    known = set().union(*map(options_of, COMMANDS.values())) | COMMON
    mentioned = {span.split()[0].split("=")[0] for span in code_of(PAGES[page]) if OPTION.match(span)}
    assert mentioned <= known


def test_every_command_is_in_the_manuals() -> None:
    told = {name for text in MANUALS.values() for name, _ in calls(text)}
    spans = {span for text in MANUALS.values() for span in code_of(text)}
    assert {
        verb for verb in VERBS if not any(n.split()[:1] == [verb] for n in told) and verb not in spans
    } == set()


@pytest.mark.parametrize(
    "page", [*PAGES, "docs/readers.md", "benchmarks/README.md", "plugins/slicer/README.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page}: {target}"


def test_no_command_of_the_readme_finds_the_output_of_another() -> None:
    outputs = re.findall(r"medidiff denoise [^\n]*?-o (\S+)", MANUALS["README.md"])
    assert len(outputs) == 2
    assert len(set(outputs)) == len(outputs)


def test_the_contents_of_the_guide_are_its_sections() -> None:
    guide = MANUALS["docs/guide.md"]
    contents, *sections = guide.split("\n## ")
    headings = [section.splitlines()[0] for section in sections]
    assert re.findall(r"\[([^\]]+)\]\(#", contents) == headings
    anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    linked = set(re.findall(r"\]\(#([^)]+)\)", guide)) | set(
        re.findall(r"guide\.md#([^)]+)\)", MANUALS["README.md"])
    )
    assert linked <= anchors
    assert anchors <= linked


@pytest.mark.parametrize("model", ["ct", "mr"])
def test_the_card_of_a_shipped_model_is_that_of_the_manual(model: str) -> None:
    # configs/release.py takes the card from docs/cards; whoever changes one copy alone is told here.
    shipped = ROOT / "medidiff" / "models" / "zoo" / model / "CARD.md"
    assert shipped.read_text("utf-8") == (ROOT / "docs" / "cards" / f"{model}.md").read_text("utf-8")


def test_the_checks_can_fail() -> None:
    bad = "```\n$ medidiff denoise x -o y --nonsense\nmedidiff frobnicate\n```\nUse `--also-nonsense 3`."
    (name, used), (other, _) = calls(bad)
    assert name == "denoise"
    assert "--nonsense" in used - options_of(COMMANDS["denoise"])
    assert other not in COMMANDS
    assert "--also-nonsense 3" in code_of(bad)
