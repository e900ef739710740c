"""The group: quick help, complete help, one sentence for every error."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from medidiff.cli.main import VERBS, main

HEAVY = {
    "numpy", "scipy", "pydicom", "nibabel", "SimpleITK", "openvino", "onnx", "onnxruntime", "tensorflow",
    "keras", "skimage", "astra", "rich",
}  # fmt: skip

SPY = """
import sys
from medidiff.cli.main import main
sys.argv = ["medidiff", *{args!r}]
try:
    main()
except SystemExit as end:
    print("exit", end.code, file=sys.stderr)
print(*sorted({{name.split(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


def spied(args: list[str], environment: dict[str, str]) -> tuple[str, set[str]]:
    """Runs a command line in a fresh process: stdout and the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", SPY.format(args=args)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "exit 0" in done.stderr, done.stderr
    return done.stdout, set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("args", [["--help"], ["--version"], *[[v, "--help"] for v in VERBS]], ids=" ".join)
def test_help_imports_nothing_heavy(args: list[str], environment: dict[str, str]) -> None:
    out, packages = spied(args, environment)
    assert out
    assert not packages & HEAVY


def test_help_answers_at_once() -> None:
    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    times = []
    for _ in range(3):
        before = seconds()
        subprocess.run([sys.executable, "-m", "medidiff", "--help"], check=True, capture_output=True)
        times.append(seconds() - before)
    assert min(times) < 0.5


def commands(group: click.Group = main, names: tuple[str, ...] = ()) -> list[tuple[str, click.Command]]:
    """Every command with its full name."""
    found: list[tuple[str, click.Command]] = []
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            found.append((" ".join((*names, name)), command))
            if isinstance(command, click.Group):
                found += commands(command, (*names, name))
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda v: v if isinstance(v, str) else "")
def test_every_option_has_help_and_a_default(name: str, command: click.Command) -> None:
    with click.Context(command, info_name=name, **command.context_settings) as ctx:
        text = " ".join(command.get_help(ctx).split())
        assert "Research use only. Not a medical device." in text
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            assert option.help, option.name
            record = option.get_help_record(ctx)
            assert record is not None
            assert option.is_flag or option.required or "default:" in record[1], option.name


def test_the_table_of_verbs_says_what_the_verbs_say() -> None:
    with click.Context(main) as ctx:
        for verb, text in VERBS.items():
            command = main.get_command(ctx, verb)
            assert command is not None
            first = (command.short_help or "").rstrip(".").split()[0]
            assert text.split()[0].rstrip(",") == first.rstrip(",")


def test_python_m_medidiff_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medidiff", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("medidiff ")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["denois"], "denois"),
        (["denoise"], "SCAN"),
        (["denoise", "/nonexistent/scan", "-o", "x"], "does not exist"),
        (["--nonsense"], "--nonsense"),
        (["simulate", "xray"], "xray"),
        (["denoise", ".", "-o", ""], "is empty"),  # -o "$UNSET" of a script
        (["simulate", "ct", ".", "--dose", "0.5", "-o", ""], "is empty"),
        (["evaluate", "--reference", ".", "--test", ".", "--report", ""], "is empty"),
    ],
)
def test_a_usage_error_is_one_sentence(run: Callable, args: list[str], part: str) -> None:
    ran = run(*args)
    assert ran.code == 2
    assert part in ran.sentence
    assert ran.out == ""


def test_an_unexpected_error_is_one_sentence_and_v_gives_the_traceback(
    run: Callable, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("medidiff.io.discover", broken)
    ran = run("inspect", tmp_path)
    assert ran.code == 1
    assert "ZeroDivisionError: a bug" in ran.sentence
    assert "-v" in ran.sentence
    ran = run("inspect", tmp_path, "-v")
    assert ran.code == 1
    assert "Traceback" in ran.err


def test_out_of_memory_is_8(run: Callable, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("medidiff.io.discover", broken)
    ran = run("inspect", tmp_path)
    assert ran.code == 8
    assert "memory" in ran.sentence


def test_ctrl_c_is_6(run: Callable, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medidiff.io.discover", broken)
    ran = run("inspect", tmp_path)
    assert ran.code == 6
    assert "Traceback" not in ran.err


def test_a_reader_that_goes_away_is_no_traceback(environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m medidiff models list --json | true"
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def needed(command: click.Command, here: object) -> list[str]:
    """Words for everything that a command requires, so that only the option in question can be wrong."""
    words: list[str] = []
    for param in command.params:
        if param.required and isinstance(param, click.Argument):
            words.append(str(here))
        elif param.required:
            words += [param.opts[-1], "6" if param.name == "sigma" else str(here)]
    return words


FLOATS = [
    (name, command, option.opts[-1])
    for name, command in commands()
    for option in command.params
    if isinstance(option.type, click.types.FloatParamType)
]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("name", "command", "option"), FLOATS, ids=[f"{name} {option}" for name, _, option in FLOATS]
)
def test_no_number_is_nan_or_infinite(
    run: Callable, tmp_path: object, name: str, command: click.Command, option: str, value: str
) -> None:
    ran = run(*name.split(), *needed(command, tmp_path), f"{option}={value}")
    assert ran.code == 2
    assert option in ran.sentence


def test_the_test_of_numbers_sees_them() -> None:
    assert {option for _, _, option in FLOATS} >= {
        "--electronic", "--zero-fill", "--dose", "--reference-sd", "--strength", "--photons", "--sigma"
    }  # fmt: skip
