"""The page in headless Chromium: it works, asks nobody for anything, prints and fits a phone."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scans import evaluation_report, run_report

from medidiff.report import Images, run_page
from medidiff.report.pictures import values

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

READING = "willReadFrequently"
"""Chromium's remark on the tests' own reading of canvases."""

Open = Callable[..., Any]


def long_report() -> tuple[dict[str, Any], Images]:
    """A run whose scan has a name that offers no place to break, and whose last figure is missing."""
    report, images = copy.deepcopy(run_report())
    series = report["series"][0]
    series["label"] = f"sub-09_{'_'.join(['acquisition'] * 9)}_FLAIR.nii.gz (160x160x7)"
    series["arms"][0]["measures"][-1]["value"] = None
    return report, images


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    found = {"run": run_report(), "evaluation": evaluation_report(), "long": long_report()}
    for name, content in found.items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(run_page(*content), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Chromium of its own, with a fresh profile."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium in the path")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Open]:
    """Opens a page; at the end nothing was asked for from anywhere, and the console was silent."""
    problems: list[str] = []
    contexts = []

    def call(name: str = "run", width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: READING in m.text or problems.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        wanted = pages[name].as_uri()
        page.on("request", lambda r: r.url.startswith(("data:", "blob:", wanted)) or problems.append(r.url))
        page.goto(wanted)
        if options.get("java_script_enabled", True):
            page.wait_for_selector(".slices[data-shown]")
        return page

    yield call
    for context in contexts:
        context.close()
    assert not problems


def row(page: Any, selector: str) -> np.ndarray:
    """Grey values along the middle row of a canvas."""
    script = (
        """c => Array.from(c.getContext('2d').getImageData(0, Math.floor(c.height / 2), c.width, 1).data)"""
    )
    return np.array(page.locator(selector).evaluate(script)).reshape(-1, 4)[:, 0]


def test_every_picture_is_loaded_and_drawn(opened: Open) -> None:
    page = opened()
    broken = "() => [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert page.locator("img").count() >= 12
    assert row(page, ".stage canvas").std() > 20


def test_the_wipe_follows_mouse_and_keyboard(opened: Open) -> None:
    page = opened()
    slider, stage = page.locator("input[type=range]"), page.locator(".stage")

    def place() -> float:
        return float(page.locator(".divider").evaluate("d => parseFloat(d.style.left)"))

    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert place() == 50
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 30, steps=4)
    page.mouse.up()
    assert place() == pytest.approx(80, abs=0.5)
    after_mouse = row(page, ".stage canvas")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    assert place() == pytest.approx(20, abs=1)
    assert slider.get_attribute("aria-valuetext") == "20 % Before, the rest After"
    changed = np.flatnonzero(after_mouse != row(page, ".stage canvas")) / len(after_mouse)
    assert changed.min() == pytest.approx(0.2, abs=0.03)  # between the two places, and nowhere else
    assert changed.max() == pytest.approx(0.8, abs=0.03)


def test_windows_zoom_and_values_are_right(opened: Open) -> None:
    page = opened()
    report, images = run_report()
    picture = report["series"][0]["pictures"]
    slice_number = int(page.locator(".slices").first.get_attribute("data-shown"))
    hu = values(picture, images, 1, slice_number, "denoised")
    stage = page.locator(".stage")
    page.get_by_label("Left").select_option("denoised")
    stage.focus()
    page.keyboard.press("ArrowRight")
    shown = page.locator(".readout").text_content()
    assert shown.startswith("Column 82, row 81: ")
    assert f"After {hu[80, 81]:.0f} HU" in shown
    for name, centre, width in (("Abdomen", 50, 400), ("Lung", -600, 1500)):
        page.get_by_role("radio", name=name).check()
        expected = np.rint(np.clip((hu[80] - centre + width / 2) / width, 0, 1) * 255)
        seen = row(page, ".slice.current .panel[data-layer=denoised] canvas")
        places = ((np.arange(len(seen)) + 0.5) / len(seen) * 160).astype(int)
        assert np.abs(seen - expected[places]).mean() < 6  # resampled to the screen
    page.get_by_label("Width").fill("100")
    page.get_by_label("Width").press("Enter")
    assert page.get_by_role("radio", name="Lung").is_checked() is False
    before = row(page, ".stage canvas")
    stage.focus()
    page.keyboard.press("+")
    assert page.locator(".zoom").text_content() == "150 %"
    assert not np.array_equal(before, row(page, ".stage canvas"))
    page.keyboard.press("0")
    assert page.locator(".zoom").text_content() == "100 %"


def test_slices_change_and_everything_is_reached_by_keyboard(opened: Open) -> None:
    page = opened()
    page.locator("input[data-slice]:checked").focus()
    shown = page.locator(".slices").get_attribute("data-shown")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => document.querySelector('.slices').dataset.shown !== '{shown}'")
    assert page.locator(".slice.current").count() >= 1
    reached: set[str] = set()
    page.locator("a.skip").focus()
    for _ in range(80):
        name, outline = page.evaluate(FOCUSED)
        reached.add(name)
        assert outline != "none", name
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement === document.body"):
            break
    wanted = {"INPUT slice-1", "SELECT first", "SELECT second", "INPUT window-1", "INPUT centre", "DIV stage"}
    assert wanted <= reached
    assert "INPUT " in reached  # the wipe


@pytest.mark.parametrize("name", ["run", "evaluation", "long"])
@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_the_screen(opened: Open, name: str, width: int) -> None:
    page = opened(name, width)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_no_column_falls_off_the_paper(opened: Open) -> None:
    page = opened("long", 680)  # A4 less its margins is 180 mm
    page.emulate_media(media="print")
    edge = page.evaluate("() => document.querySelector('main').getBoundingClientRect().right")
    cells = "[...document.querySelectorAll('#summary tr > :last-child')]"
    ends = page.evaluate(f"() => {cells}.map((cell) => cell.getBoundingClientRect().right)")
    assert ends
    assert max(ends) <= edge + 1


def test_every_picture_says_what_it_shows_and_from_where_to_where(opened: Open) -> None:
    page = opened()
    for kind in (".slices .slice.current", "#wrong .slice"):
        panels = page.locator(kind).first.locator(".panel")
        assert panels.count() == 4
        for k, title in enumerate(("Before", "After", "Before minus after", "Uncertainty (SD)")):
            text = panels.nth(k).inner_text()
            assert title in text
            assert re.search(r"\d HU$", text.strip())
    assert page.locator("#wrong .slice .mark").count() == page.locator(".slices .mark").count() > 0


FOCUSED = """
() => {
  const e = document.activeElement;
  const drawn = e.matches('.choices input') ? e.nextElementSibling : e;
  return [`${e.tagName} ${e.name || e.className}`, getComputedStyle(drawn).outlineStyle];
}
"""

LUMINANCE = """
() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length) continue;
    if (e.closest('script, style, .frame, .stage, .unseen, [hidden]')) continue;
    const style = getComputedStyle(e);
    const colour = e.closest('svg') ? style.fill : style.color;
    if (!colour.startsWith('rgb')) continue;
    const [a, b] = [luminance(parse(colour)), luminance(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.trim().slice(0, 30), ratio]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 20, 23)"}[scheme]
    assert page.evaluate(LUMINANCE) == []  # WCAG 2.2, 1.4.3: at least 4.5 to 1


def test_without_script_the_slices_lie_side_by_side(opened: Open) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator(".viewer").first.is_hidden()
    shown = page.locator(".slices .slice img:visible")
    assert shown.count() == page.locator(".slices .slice img").count() >= 12


def test_it_prints_with_pictures_side_by_side_and_no_controls(opened: Open, tmp_path: Path) -> None:
    page = opened(color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator(".viewer").first.is_hidden()
    assert page.locator("nav").is_hidden()
    panels = page.locator(".slices .slice").last.locator(".panel")
    tops = {round(panels.nth(k).bounding_box()["y"]) for k in range(panels.count())}
    assert len(tops) == 1
    assert page.locator(".slices .slice:visible").count() == page.locator(".slices .slice").count()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".sign").is_visible()
    path = tmp_path / "report.pdf"
    page.pdf(path=path, prefer_css_page_size=True)
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("no pdftotext in the path")
    text = subprocess.run([tool, "-layout", path, "-"], capture_output=True, check=True).stdout.decode(
        "utf-8"
    )
    text = re.sub(r"[^\S\f]+", " ", text)
    for part in ("Research use only", "Noise before", "Slice 3 of 7", "How to reproduce", "Reviewed by"):
        assert part in text
    assert "Drag over the picture" not in text
    assert 3 <= text.count("\f") <= 12
