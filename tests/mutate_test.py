"""The list of mistakes is of the code as it is."""

import pytest

from tests import mutate

pytestmark = pytest.mark.keras_free

MUTANTS = mutate.mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_mutant_can_be_made_and_has_tests(mutant):
    assert mutate.problem(mutant) is None
    assert mutant.new != mutant.old and mutant.tests and mutant.why
    assert mutant.keras in ("2", "3")


def test_no_two_mutants_have_one_name():
    names = [mutant.id for mutant in MUTANTS]
    assert len(set(names)) == len(names) > 50


def test_what_the_code_no_longer_holds_is_told():
    mutant = MUTANTS[0]
    for change, sentence in (
        ({"old": "no such text"}, "text not found"),
        ({"old": "import"}, "text found"),
        ({"file": "tfrobust/none.py"}, "file not found"),
        ({"tests": ["tests/none_test.py"]}, "no tests/none_test.py"),
        ({"tests": ["tests/mutate_test.py::test_none"]}, "no tests/mutate"),
    ):
        found = mutate.problem(mutant._replace(**change))
        assert found.startswith(sentence)
