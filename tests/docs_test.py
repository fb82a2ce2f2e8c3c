"""What the documentation says in code runs, and no public name is missing."""

import importlib
import inspect
import pathlib
import re

import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.bounds.record import RULES

pytestmark = pytest.mark.one_keras

DOCS = pathlib.Path(__file__).parents[1] / "docs"
# A block, and the comment in front of it, if any.
BLOCK = re.compile(r"(?:<!-- ([^>]*) -->\n)?```python\n(.*?)```", re.DOTALL)
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in [*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")]
    if "```python" in path.read_text()
)
ROOMS = [
    name for name in tfr.__all__ if inspect.ismodule(getattr(tfr, name))
] + ["evaluation"]


def blocks(page):
    """The comment in front of each block of Python, and the block."""
    return BLOCK.findall((DOCS / page).read_text())


def small(code):
    """The block with training cut short, on the Keras in use."""
    code = re.sub(r"\bepochs=\d+", "epochs=1", code)
    # Diagnostics take long to trace; the start page shows them at work.
    code = code.replace('name="digits, PGD"', "diagnostic_examples=0")
    return code.replace(
        "import keras\n", "from tfrobust.backend import keras\n"
    )


@pytest.fixture(scope="module")
def setup():
    """What all pages go on from, of few examples."""
    ((_, code),) = [b for b in blocks("index.md") if b[0] == "setup"]
    namespace = {}
    exec(compile(small(code), "docs/index.md", "exec"), namespace)
    for name in "x_train y_train x_val y_val x_test y_test".split():
        namespace[name] = namespace[name][:64]
    return namespace


@pytest.fixture
def rules():
    """Rules that a page registers are gone after it."""
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


@pytest.mark.usefixtures("rules")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    namespace = dict(setup)
    for comment, code in blocks(page):
        if comment == "setup" or comment.startswith("not run: "):
            continue
        exec(compile(small(code), f"docs/{page}", "exec"), namespace)


def test_every_comment_in_front_of_code_is_known():
    comments = {comment for page in PAGES for comment, _ in blocks(page)}
    others = {c for c in comments if not re.match(r"not run: \w", c)}
    assert others == {"", "setup"}


def test_every_diagnostic_is_explained():
    room = pathlib.Path(tfr.__file__).parent / "evaluation"
    code = "".join(path.read_text() for path in room.glob("*.py"))
    names = set(re.findall(r'\bCheck\(\s*f?"(\w+)', code))
    assert {"alignment", "diagnostics", "monotone_"} <= names
    page = (DOCS / "guides" / "evaluate.md").read_text()
    assert not {name for name in names if f"`{name}" not in page}


def documented(page):
    """The paths on a page of the reference, by the name at their ends."""
    text = (DOCS / "reference" / f"{page}.md").read_text()
    paths = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    return {path.split(".")[-1]: path for path in paths}


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_public_name_of_a_package(room):
    wanted = set(importlib.import_module(f"tfrobust.{room}").__all__)
    if room == "evaluation":  # Some of it is shown by the package itself.
        wanted = wanted - set(tfr.__all__) | {"sharded"}
    assert set(documented(room)) == wanted


def test_the_reference_has_every_name_that_workflows_begin_with():
    assert set(documented("tfrobust")) == set(tfr.__all__) - set(ROOMS)


@pytest.mark.parametrize("page", ["tfrobust", *ROOMS])
def test_what_the_reference_shows_has_a_docstring(page):
    for name, path in documented(page).items():
        # A function may be named like its module, which hides in a package.
        parent = path.rpartition(".")[0]
        try:
            room = importlib.import_module(parent)
        except ModuleNotFoundError:
            pytest.fail(f"{path} is nowhere.")
        assert getattr(room, name).__doc__, path
