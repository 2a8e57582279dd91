"""The page in German, Spanish and Chinese: its dictionaries, and that no text of it stays in English."""

import ast
import html
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from web_support import ARTIFACTS, DESKTOP, served

from glpn.web.choices import PAGES as PAGE_NAMES
from glpn.web.choices import TABS as TAB_NAMES
from glpn.web.page import LANGUAGES
from glpn.web.parts.components import ASSETS

ROOT = Path(__file__).parents[1]
FOLDER = ASSETS / "languages"
OTHERS = tuple(name for name in LANGUAGES if name != "en")
WHERE = f"translate these in {FOLDER.relative_to(ROOT)}/{{{','.join(OTHERS)}}}.json"
GAP = re.compile(r"\{\d#?\}")
# Texts of Gradio and Plotly, whose sources are not in glpn/.
FOREIGN = (
    "- or -", "Capture from camera", "Clear", "Click to Access Webcam", "Click to Upload",
    "Click to upload or drop files", "Close", "Copy", "Download plot as a PNG", "Drop File Here",
    "Drop Image Here", "Drop an image file here to upload", "Error", "Exit fullscreen mode", "File upload",
    "Fullscreen", "Gradio footer navigation", "Orbital rotation", "Pan", "Paste from clipboard", "Remove Image",
    "Reset axes", "Reset camera to default", "Reset to default value", "Stop Recording", "Turntable rotation",
    "Upload file", "Use via API", "Use via API or MCP", "Zoom", "capture photo", "logo", "number input for {0}",
    "range slider for {0}", "select input source",
)  # fmt: skip


def dictionary(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return found


# ------------------------------------------------------------------------------------------------------ dictionaries


@pytest.mark.parametrize("language", OTHERS)
def test_dictionaries_have_the_same_texts_with_the_same_gaps(language: str) -> None:
    assert (
        f'"{language}"'
        in (ASSETS / "language_choice.js").read_text(encoding="utf-8").split("SPOKEN = [")[1].split("]")[0]
    )
    assert list(dictionary(language)) == list(dictionary("de")), "keep all dictionaries in one order"
    for key, text in dictionary(language).items():
        assert text.strip(), key
        gaps = {gap.replace("#", "") for gap in GAP.findall(key)}
        assert set(GAP.findall(text)) == gaps, f"{language}: {key!r} has other gaps than {text!r}"


def plain(text: str) -> str:
    """Return `text` in lower case, with marks where values or markup stand in it, and where attributes begin."""
    whole = re.sub(r"\s+", " ", html.unescape(text)).lower()
    filled = re.sub(r"\$\{[^{}]*\}", "\0", whole)
    return "\n".join((whole, re.sub(r"<[^>]*>", "\0", filled), re.sub(r'[<>="]', "\0", filled)))


@cache
def sources() -> str:
    """Return every text in the package's modules, scripts and data."""
    found = []
    for path in sorted((ROOT / "glpn").rglob("*")):
        if path.suffix == ".py":
            for _, text in strings(path):
                found += [plain(text.replace("`", "\0")), plain(re.sub(r"`([^`]*)`", r"“\1”", text))]
        elif path.suffix in (".js", ".html", ".svg", ".json", ".css") and path.parent != FOLDER:
            found.append(plain(path.read_text(encoding="utf-8").replace('\\"', '"')))
    return "\n".join(found)


def strings(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Yield the strings in a module, with a mark for each value in an f-string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            yield node, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value


def test_every_key_is_a_text_of_the_page() -> None:
    stale = []
    for key in dictionary("de"):
        pieces = [piece.strip() for piece in GAP.split(key.lower())]
        if key not in FOREIGN and not all(piece in sources() for piece in pieces):
            stale.append(key)
    assert not stale, f"the page says this no more; remove it from the dictionaries, or list it in FOREIGN: {stale}"


# ------------------------------------------------------------------------------------------------------------ errors

# Modules whose errors a visitor of the page can meet, and of these what only a client of the API or the host can.
MET = (
    "web/**/*.py", "photo.py", "formats.py", "pixels.py", "scale.py", "bounds.py", "video.py", "checkpoint.py",
    "layout.py", "scene/floor.py", "scene/measuring.py", "evaluation/metrics.py",
)  # fmt: skip
NOT_MET = (
    "web/address.py: ", "web/api.py: ", "web/gpu.py: SPACES_ZERO_GPU", "web/serve.py: ", "web/session.py: ",
    "web/store.py: A store", "web/temporary.py: ", "web/fetch.py: too large", "pixels.py: a … profile",
    "photo.py: An array", "photo.py: A photo can't be a", "checkpoint.py: … holds no state dict. Expected names and "
    "tensors, or", "evaluation/metrics.py: There are no images", "evaluation/metrics.py: The NYU crop",
)  # fmt: skip


def raised(path: Path) -> Iterator[str]:
    """Yield the sentences that a module raises, with "…" for each value, as the page shows them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            first = node.exc.args[0]
            parts = first.values if isinstance(first, ast.JoinedStr) else [first]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
            if text != "None":
                yield re.sub(r"`([^`]*)`", r"“\1”", text)


@cache
def patterns() -> list[tuple[re.Pattern[str], list[str]]]:
    keys = [re.split(f"({GAP.pattern})", key) for key in dictionary("de") if GAP.search(key)]
    return [
        (re.compile("".join("(.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))), parts[1::2])
        for parts in keys
    ]


@cache
def is_known(text: str) -> bool:
    """Whether language.js translates `text`, whatever stands for "…"."""
    if text in dictionary("de") or not re.search(r"[^\W\d_]", text):
        return True
    for pattern, gaps in patterns():
        found = pattern.fullmatch(text)
        if found and all(is_known(part) for part, gap in zip(found.groups(), gaps, strict=True) if "#" in gap):
            return True
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z0-9“…])", text)
    return len(sentences) > 1 and all(map(is_known, sentences))


def test_errors_that_visitors_meet_are_translated() -> None:
    package, unknown = ROOT / "glpn", []
    for path in (path for pattern in MET for path in sorted(package.glob(pattern))):
        for text in raised(path):
            named = f"{path.relative_to(package).as_posix()}: {text}"
            if not is_known(text) and not named.startswith(NOT_MET):
                unknown.append(named)
    assert not unknown, f"{WHERE}, a {{0}} for each value, or list them in NOT_MET:\n" + "\n".join(unknown)
    assert not is_known("Nobody translates … this sentence.")


# ---------------------------------------------------------------------------------------------------------- the page

# Keep every text and attribute of the page, those of tabs that are not open too, with what holds it.
COLLECT = """async () => {
  const { SKIPPED, ATTRIBUTES } = await import(new URL("glpn-assets/js/language.js", document.baseURI));
  const found = [];
  const kept = (node) => (node.nodeType === 1 && node.matches(SKIPPED) ? 2 : 1);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, kept);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === 3) found.push([node, null, node.data]);
    else for (const name of ATTRIBUTES) found.push([node, name, node.getAttribute(name) ?? ""]);
  }
  window.collected = found.filter(([, , text]) => /[\\p{L}\\d]/u.test(text));
}"""
# Return [in the other language, in English] of what was kept.
AGAIN = """() => window.collected.map(([node, name, text]) =>
  [text, name === null ? node.data : node.getAttribute(name)].map((one) => one.trim().replace(/\\s+/g, " ")))"""
# What has no translation: numbers with units, and names.
UNITS = re.compile(r"\b(m|mm|cm|s|h|px|[kKMG]?B|x|y|M)\b")
NAMES = re.compile(
    r"((rooms|streets|nyu|kitti)-)?b\d|GLPN Depth Zoo|GLPN|H × W × 3|Python|gradio|torch|huggingface_hub|plotly|numpy|"
    r"pillow|safetensors|trimesh|[\d.]+\+cpu|\w+_truth_depth_mm(\.png)?|\.png|npz|photo3d|b4, kitti, nvidia …|"
    r"Global-Local Path Networks for Monocular Depth Estimation with Vertical CutDepth"
)
TABS = "#tabs > .tab-wrapper > [role=tablist] > [role=tab]"
PAGES = "#pages > .tab-wrapper > [role=tablist] > [role=tab]"


def walk(page: Page, tabs: str) -> Iterator[int]:
    """Open each of `tabs` in turn."""
    for number in range(page.locator(tabs).count()):
        page.locator(tabs).nth(number).click()
        expect(page.locator(tabs).nth(number)).to_have_attribute("aria-selected", "true")
        yield number


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("fake", tmp_path_factory.mktemp("languages")) as url:
        yield url


def use_the_page(page: Page) -> None:
    """Make the page say what it says to most visitors."""
    page.locator(".send-open").click()
    page.locator("#settings button").first.click()
    page.locator("#view-camera label").nth(1).click()
    for number in walk(page, TABS):
        if list(TAB_NAMES)[number] == "measure":
            for points, x in ((1, 60), (2, 200)):
                page.locator(".measure-stage").click(position={"x": x, "y": 150})
                expect(page.locator(".measure-stage .measure-point")).to_have_count(points)
            expect(page.locator("#distances output")).to_contain_text(re.compile(r"\d,\d"))
        if list(TAB_NAMES)[number] == "statistics":
            expect(page.locator("#histogram .xtitle")).to_have_text(re.compile("^Tiefe"))
    expect(page.locator("#files tbody tr").first).to_be_visible()
    for number in walk(page, PAGES):
        if PAGE_NAMES[number] == "compare":
            page.locator("#compare-go").click()
            page.wait_for_selector("#maps .depth-view[data-painted]")
        if PAGE_NAMES[number] == "evaluate":
            page.locator("#evaluate-samples button").first.click()
            page.wait_for_selector("#evaluate-maps .depth-view[data-painted]")
    page.locator(PAGES).first.click()


def expect_language(page: Page, name: str, go: str) -> None:
    expect(page.locator("#go")).to_have_text(go)
    expect(page.locator("html")).to_have_attribute("lang", name)
    expect(page.locator("header select")).to_have_value(name)


@pytest.mark.browser
def test_the_page_speaks_the_visitors_language(browser: Browser, address: str) -> None:
    context = browser.new_context(locale="de-DE", reduced_motion="reduce", **DESKTOP)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{address}?detail=draft")
    expect_language(page, "de", "Tiefe schätzen")  # as the browser asks
    page.locator("#go").click()
    expect(page.locator("#status")).to_contain_text("0,25 s")
    expect(page.locator("#status")).to_contain_text(re.compile(r"von \d+,\d m ± \d+,\d bis \d"))
    page.screenshot(path=ARTIFACTS / "language-de.png", full_page=True)
    use_the_page(page)

    page.set_viewport_size({"width": 390, "height": 844})
    page.screenshot(path=ARTIFACTS / "language-de-phone.png")
    for tabs in (TABS, PAGES):
        for number in walk(page, tabs):
            fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            assert page.evaluate(fits), f"{tabs}, tab {number}"

    page.evaluate(COLLECT)
    page.locator("header select").select_option("en")
    expect_language(page, "en", "Estimate depth")
    known = dictionary("de")
    pairs = {(german, english) for german, english in page.evaluate(AGAIN) if not NAMES.fullmatch(english)}
    left = sorted(english for german, english in pairs if german == english and known.get(english) != english)
    left = [english for english in left if re.search(r"[^\W\d_]", UNITS.sub("", english))]
    assert not left, f"{WHERE}:\n" + "\n".join(left)
    points = sorted(german for german, _ in pairs if re.search(r"(?<![\w./])\d\.\d+ ?(m|s|%|MB)\b", german))
    assert not points, f"numbers with a decimal point in German: {points}"

    page.locator("header select").select_option("zh")
    expect_language(page, "zh", "估计深度")
    page.goto(f"{address}?lang=es")  # a link counts more than what was chosen
    expect_language(page, "es", "Estimar profundidad")
    page.locator("#copy-link").click()
    expect(page.locator("#link-box input, #link-box textarea")).to_have_value(re.compile("lang=es"))
    context.close()
