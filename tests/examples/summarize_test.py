import pytest

pytestmark = pytest.mark.keras_free

SCRIPT = "summarize.py"
TABLE = """method,seed,weak,strong
a,0,0.8,0.6
d,0,0.5,nan
e,0,0.5,nan
b,0,0.9,0.1
a,1,0.7,0.5
b,1,0.8,0.7
c,0,0.5,0.4
e,1,0.7,0.4
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return f"--table={path}"


def test_runs_are_averaged_in_the_order_of_the_table(script, table):
    code, output = script(
        SCRIPT,
        table,
        "--by=method",
        "--columns=weak,strong",
        "--collapsed=weak,strong",
    )
    assert code == 0
    assert output.splitlines()[-7:] == [
        "| method | runs | weak | strong | collapsed |",
        "| --- | --- | --- | --- | --- |",
        "| a | 2 | 0.75 ± 0.05 | 0.55 ± 0.05 | 0 of 2 |",
        "| d | 1 | 0.5 |  | 0 of 1 |",
        "| e | 2 | 0.6 ± 0.1 | 0.4 | 0 of 2 |",
        "| b | 2 | 0.85 ± 0.05 | 0.4 ± 0.3 | 1 of 2 |",
        "| c | 1 | 0.5 | 0.4 | 0 of 1 |",
    ]


def test_rows_are_chosen_and_intervals_counted(script, tmp_path):
    path = tmp_path / "table.csv"
    rows = ["a,0,.1,.2", "a,1,-1,.2", "b,0,-2,-1", "b,1,nan,nan", "b,2,,"]
    path.write_text("\n".join(["method,seed,low,high", *rows]))
    code, output = script(
        SCRIPT,
        f"--table={path}",
        "--by=method",
        "--columns=high",
        "--interval=low,high",
        "--where=seed=0",
        "--where=seed=1",
    )
    assert code == 0
    assert output.splitlines()[-4:] == [
        "| method | runs | high | above 0 | below 0 |",
        "| --- | --- | --- | --- | --- |",
        "| a | 2 | 0.2 | 1 of 2 | 0 of 2 |",
        "| b | 2 | -1 | 0 of 2 | 1 of 2 |",
    ]


def test_means_and_runs_are_drawn(script, table, tmp_path):
    picture = tmp_path / "picture.svg"
    flags = ["--x=seed", "--y=weak", "--by=method", f"--output={picture}"]
    code, output = script("plot_table.py", table, *flags, "--ylabel=accuracy")
    assert code == 0, output
    drawn = picture.read_text()
    for word in ("<!-- accuracy -->", "<!-- seed -->", "<!-- a -->"):
        assert word in drawn
    code, output = script("plot_table.py", table, *flags, "--where=seed=9")
    assert code == 1 and "no row where seed=9" in output


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--columns=magic", "has no column 'magic'. There are: method, seed"),
        ("--by=magic", "has no column 'magic'"),
        ("--collapsed=weak", "names a weak and a strong attack"),
        ("--interval=weak", "names a lower and an upper end"),
        ("--where=weak", "--where=weak must be column=value"),
        ("--where=seed=9", "no row where seed=9"),
        ("extra", "Unexpected arguments: ['extra']"),
    ],
)
def test_what_the_table_has_not_is_named(script, table, argument, sentence):
    flags = ["--by=method", "--columns=weak", argument]
    code, output = script(SCRIPT, table, *flags)
    assert code == 1 and sentence in output.replace("\n", " ")
