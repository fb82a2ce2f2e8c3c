"""Examples of tables, time series and transformers, cut short."""

import pytest


def test_a_table_ends_in_certificates_and_tolerances(script):
    code, output = script("tabular.py", "--epochs=2", "--boxes=4")
    assert code == 0, output
    assert "| clean | PGD-50 | certified |" in output
    assert "| feature | median tolerance" in output


def test_a_time_series_ends_in_bounds_of_its_error(script):
    code, output = script("time_series.py", "--epochs=1")
    assert code == 0, output
    assert "| adversarial | " in output


@pytest.mark.one_keras  # Minutes; its layers are tested under both.
def test_a_transformer_is_attacked_and_bounded(script):
    few = "--epochs=1", "--examples=4", "--width=8"
    code, output = script("transformer.py", *few)
    assert code == 0, output
    assert "| clean | PGD-20 | certified |" in output
