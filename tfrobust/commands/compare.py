"""`tfrobust compare`: puts reports side by side."""

from absl import flags

from tfrobust.commands import options
from tfrobust.evaluation import Report, compare


def define(values: flags.FlagValues) -> None:
    """Defines the flags; the reports are words."""
    options.define(values, "report")
    values["report"].help = (
        "New folder for the table. The folders of the reports are words: "
        "tfrobust compare reports/a reports/b"
    )


def run(values: flags.FlagValues, words: list[str]) -> None:
    """Prints the table, and writes it if asked."""
    if not words:
        raise ValueError(
            "Name the folders of reports: tfrobust compare reports/a reports/b"
        )
    options.check_new("report", values.report)
    loaded = {folder: Report.load(folder) for folder in words}
    names = [report.info["name"] for report in loaded.values()]
    # Reports on one model are told apart by their folders.
    distinct = len({*names}) == len(names)
    table = compare([*loaded.values()] if distinct else loaded)
    print(table)
    if values.report is None:
        print("\nNothing was written: --report=<new folder> keeps the table.")
        return
    table.save(values.report)
    print(f"\nThe table: in {values.report}.")
