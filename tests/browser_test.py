"""Pages as people see them: in a browser, at a desk, on a phone, on paper.

Each test leaves its pictures in its temporary folder, to be looked at.
"""

import io
import shutil

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

api = pytest.importorskip(
    "playwright.sync_api",
    reason="Pages are looked at with the extra 'browser': "
    "pip install 'tfrobust[browser]'.",
)
image = pytest.importorskip("matplotlib.image", reason="Reads the pictures.")

pytestmark = pytest.mark.one_keras

LINF = tfr.threats.Linf(0.1)
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(12, 8, 8, 1)).astype(np.float32)
Y = np.arange(12) % 3
SCREENS = {"desk": (1280, 900), "phone": (375, 800)}
PAGES = ["report", "certificates", "comparison", "analysis"]
# Without the last four, it looks for hosts of its vendor as it starts.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(
                executable_path=found, args=OPTIONS
            )
        except api.Error as error:
            pytest.skip(
                f"No Chromium was found as {', '.join(names)} or by "
                f"`playwright install chromium`: {str(error)[:80]}"
            )
        yield opened
        opened.close()


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6, "relu"),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The four kinds of page, by name."""
    folder, model = tmp_path_factory.mktemp("pages"), network()
    pgd, crown = tfr.attacks.PGD(LINF, steps=3), tfr.verifiers.CROWN(LINF)
    reports = {
        name: tfr.evaluate(model, (X, Y), pgd, name=name, verbose=0)
        for name in ("one", "a name that takes some room " * 3)
    }
    proofs = tfr.certify(model, (X, Y), crown, verbose=0)
    reports["one"].save(folder / "report")
    proofs.save(folder / "certificates")
    tfr.compare(reports).save(folder / "comparison")
    trained, part = tfr.RobustModel(model), ["attributions"]
    trained.compile("sgd")
    tfr.analysis.report(
        trained, (X, Y), LINF, folder / "analysis", sections=part, verbose=0
    )
    return {name: next((folder / name).glob("*.html")) for name in PAGES}


@pytest.fixture
def opened(browser, pages):
    """Opens a page on a screen; whatever it complains of is an error."""
    closing = []

    def opened(name, screen):
        width, height = SCREENS[screen]
        page = browser.new_page(viewport={"width": width, "height": height})
        closing.append((page, complaints := []))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    yield opened
    for page, complaints in closing:
        page.close()
        assert complaints == []


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_screen_and_shows_its_pictures(
    opened, tmp_path, name, screen
):
    page = opened(name, screen)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= SCREENS[screen][0]
    sizes = page.evaluate(
        "[...document.images].map(i => i.complete ? i.naturalWidth : 0)"
    )
    assert all(size > 0 for size in sizes)
    assert bool(sizes) == (name in ("report", "analysis", "certificates"))
    hidden = page.evaluate(
        "[...document.querySelectorAll('h1, h2, td, dd, p')]"
        ".filter(e => e.innerText && !e.getClientRects().length).length"
    )
    assert hidden == 0
    lines = page.evaluate(
        "[...document.querySelectorAll('.state')].map(e => {"
        "const r = document.createRange(); r.selectNodeContents(e);"
        "return r.getClientRects().length})"
    )
    assert set(lines) <= {1}  # No word is broken into letters.
    taken = page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    pixels = image.imread(io.BytesIO(taken))
    assert len(np.unique(pixels[..., 0])) > 30


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_whole(opened, tmp_path, name):
    page = opened(name, "desk")
    page.emulate_media(media="print")
    # A sheet of A4 at 96 points an inch, without margins of 1 cm.
    page.set_viewport_size({"width": 718, "height": 1047})
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    printed = page.pdf(path=tmp_path / f"{name}.pdf", format="A4")
    assert printed.startswith(b"%PDF") and len(printed) > 5000


def test_the_verdict_is_seen_without_scrolling(opened):
    page = opened("report", "phone")
    box = page.locator(".verdict").bounding_box()
    assert 0 <= box["y"] < SCREENS["phone"][1]
    colour = page.evaluate(
        "getComputedStyle(document.querySelector('.verdict')).borderLeftColor"
    )
    assert colour != "rgb(0, 0, 0)"
