"""A figure on the page: in the page's colours and font, and with ids that no other figure has."""

from __future__ import annotations

import re
from pathlib import Path

import medidiff.report
from medidiff.report import plots
from medidiff.report.figure import ROLES, new_figure, svg

STYLE = (Path(medidiff.report.__file__).parent / "templates" / "style.css").read_text()


def figure(height: float = 2.0) -> str:
    """One with a line in every colour."""
    with new_figure(height) as (drawing, axes):
        for k, colour in enumerate(ROLES.values()):
            axes.plot([0, 1], [k, k + 1], color=colour, label="é & <b>")
        axes.set_xlabel("Frequency, lp/cm")
        return svg(drawing)


def test_colours_are_variables_of_the_page() -> None:
    text = figure()
    assert {f"var(--plot-{role})" for role in ROLES if role != "paper"} <= set(
        re.findall(r"var\([^)]*\)", text)
    )
    assert not [colour for colour in ROLES.values() if colour in text]
    assert all(f"--plot-{role}:" in STYLE for role in ROLES)


def test_text_stays_text_in_the_font_of_the_page() -> None:
    text = figure()
    assert "Frequency, lp/cm" in text
    for absent in ("font-family", "<metadata", "<style", "<!--", "<?xml"):
        assert absent not in text
    assert re.match(r'<svg aria-hidden="true" focusable="false" (?![^>]* (?:width|height)=)', text)


def test_ids_differ_between_figures_and_are_found() -> None:
    first, second = figure(2.0), figure(2.5)
    ids = [set(re.findall(r'\bid="([^"]*)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]
    for text, known in zip((first, second), ids, strict=True):
        assert set(re.findall(r'href="#([^"]*)"', text)) <= known
        assert set(re.findall(r"url\(#([^)]*)\)", text)) <= known
    assert figure(2.0) == first


def test_no_marker_is_cut_at_the_top_of_an_axis_from_zero_and_slices_are_whole() -> None:
    line = plots.Curve("SSIM", "after", range(1, 6), [0.978, 0.98, 0.981, 0.985, 0.988])
    text = plots.curves([line], "Slice", "SSIM")
    identifier, radius = re.findall(r'<path id="([^"]*)" d="M 0 ([\d.]+) \nC', text)[0]
    heights = [float(y) for y in re.findall(rf'href="#{identifier}" x="[\d.]+" y="([\d.]+)"', text)]
    top = float(re.findall(r'<clipPath id="[^"]*"><rect x="[\d.]+" y="([\d.]+)"', text)[0])
    assert len(heights) == 5
    assert min(heights) - float(radius) >= top
    numbers = re.findall(r">([\d.]+)</text>", text)
    assert [n for n in numbers if n in ("1", "1.5", "2", "2.5")] == ["1", "2"]
