"""Comparing models by the reports on them."""

import os
from collections.abc import Mapping, Sequence

from tfrobust.evaluation.comparison import Comparison
from tfrobust.evaluation.report import Report


def compare(
    reports: Mapping[str, Report | str | os.PathLike]
    | Sequence[Report | str | os.PathLike]
    | Report
    | str
    | os.PathLike,
) -> Comparison:
    """Puts the reports on several models side by side.

    What wasn't alike among the evaluations is said in the table: the data,
    the number of examples, the threat, the configuration of an attack.

    Args:
        reports: Dictionary of a model's name to its `Report`, or to the folder
            that `Report.save` wrote; or one, or a list of them, named as they
            are.

    Returns:
        A `Comparison`: print it, or `save` it.

    Raises:
        FileNotFoundError: If a folder holds no report.
        TypeError: If something else is given than reports and folders.
        ValueError: If there is no report, or two have one name.

    Example:
        report = tfr.certify(model, (x_test, y_test), epsilon=0.01)
        report.save("report")
        table = tfr.compare({"now": report, "saved": "report"})
    """
    if isinstance(reports, (Report, str, os.PathLike)):
        reports = [reports]
    if isinstance(reports, Mapping):
        names, loaded = [*reports], [*map(_loaded, reports.values())]
    else:
        loaded = [_loaded(report) for report in reports]
        names = [report.info["name"] for report in loaded]
    if not loaded:
        raise ValueError("`reports` must hold at least one report.")
    if len(set(names)) < len(names):
        raise ValueError(
            "`reports` must have different names. Received: "
            f"{names}. Pass a dictionary of name to report."
        )
    return Comparison(dict(zip(names, loaded, strict=True)))


def _loaded(report):
    if isinstance(report, Report):
        return report
    if isinstance(report, str | os.PathLike):
        return Report.load(report)
    raise TypeError(
        "`reports` must hold reports, or the folders that `Report.save` "
        f"wrote. Received: {report!r}"
    )
