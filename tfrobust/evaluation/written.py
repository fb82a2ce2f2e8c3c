"""What the JSON of a report holds."""

from tfrobust.evaluation import contents, summary

KEYS = (
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "dataset",
    "venue",
    "architecture",
    "eps",
    "clean_acc",
    "reported",
    "autoattack_acc",
    "unreliable",
    "footnote",
)


def robustbench(report):
    """A report in the keys of RobustBench's model information."""
    clean, worst = report["clean"], report["worst case"]
    standard = [row for row in report.rows if row.standard]
    told = [c.detail for c in report.checks if c.state in ("note", "weak")]
    return {
        "link": None,
        "name": report.info["name"],
        "authors": None,
        "additional_data": None,
        "number_forward_passes": 1,
        "dataset": report.info["dataset"],
        "venue": None,
        "architecture": report.info["architecture"],
        "eps": worst.epsilon,
        "clean_acc": f"{100 * clean.accuracy:.2f}",
        "reported": f"{100 * worst.accuracy:.2f}",
        # Never filled by another attack than AutoAttack itself.
        "autoattack_acc": f"{100 * standard[0].accuracy:.2f}"
        if len(standard) == 1
        else None,
        "unreliable": not report.reliable,
        "footnote": " ".join(told) or None,
    }


def to_dict(report):
    """The report as JSON holds it: RobustBench's keys, then ours."""
    return {
        **robustbench(report),
        "reasons": report.reasons,
        "recommendations": report.recommendations,
        "rows": [row.to_dict() for row in report.rows],
        "curves": report.curves,
        "checks": [check._asdict() for check in report.checks],
        "info": report.info,
        "certificates": report.certificates,
        "classes": report.classes,
        "answers": report.answers,
        "title": contents.title(report),
        "clean_accuracy": report.rows[0].accuracy,
        "robust_accuracy": summary.robust(report),
        "certified_accuracy": summary.certified(report),
        "certification": summary.certification(report),
        "per_class": summary.per_class(report),
        "curve_intervals_95": summary.bands(report.curves),
        "certified_curve": summary.certified_curve(report),
        "verdicts": {
            row.name: row.correct.astype(int).tolist() for row in report.rows
        },
    }
