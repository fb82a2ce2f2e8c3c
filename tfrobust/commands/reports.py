"""What commands say of a report at their end."""

from tfrobust.evaluation import Report


def finish(report: Report, folder: str | None) -> None:
    """Prints a report, saves it, and says where it lies."""
    print(report)
    if folder is None:
        print("\nNothing was written: --report=<new folder> keeps the report.")
        return
    report.save(folder)
    print(
        f"\nThe report: {folder}/report.html, and beside it report.md, "
        "report.json and verdicts.csv."
    )


def objections(report: Report, least: float) -> list[str]:
    """Why a model isn't released, in sentences."""
    reached, found = report["worst case"].accuracy, []
    if reached < least:
        found.append(f"Accuracy {reached:.2%} < {least:.2%}.")
    if not report.reliable:
        found.append(f"Unreliable: {' '.join(report.reasons)}")
    if report.recommendations:
        found.append(f"Too weak: {' '.join(report.recommendations)}")
    return found


def gate(report: Report, least: float | None) -> int:
    """The exit code: 1 if there is an objection, which is printed."""
    if least is None:
        return 0
    failures = objections(report, least)
    print("GATE:", " ".join(failures) or "passed.")
    return int(len(failures) > 0)
