"""The page of bounded layers says what the verifiers do."""

import importlib.util
import pathlib

import pytest

pytestmark = [
    pytest.mark.one_keras,
    # Keras says of layers that pass over a mask that they do.
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "coverage.md"


@pytest.fixture(scope="module")
def script():
    path = PAGE.with_suffix(".py")
    spec = importlib.util.spec_from_file_location("coverage_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_gives(script):
    known = script.parts(PAGE.read_text())
    assert set(known) == {"## Keras 3", "## tf_keras"}
    part = script.section().strip() + "\n"
    title = part.splitlines()[0]
    assert known[title].splitlines() == part.splitlines(), (
        "Run `python docs/coverage.py`, under each Keras."
    )


def test_a_layer_without_a_rule_is_shown_as_refused(script):
    from tfrobust.backend import keras

    answer, why = script.verdict("Embedding", keras.layers.Embedding)
    assert answer == "refused" and "the op Cast" in why
    answer, why = script.verdict("Dense", keras.layers.Dense)
    assert (answer, why) == ("bounded", "linear")
