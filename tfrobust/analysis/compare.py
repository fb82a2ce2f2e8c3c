"""What two networks are like, next to each other, example by example."""

import json
import math
import pathlib
from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.types import Path

# What `report` writes into each section's folder.
EXAMPLES = "examples.npz"
# Of two reports that can be compared.
_SAME = "data_sha256", "examples", "few", "attack", "seed", "judge_sha256"


def compare(path: Path, other: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Compares two networks by their reports on the same examples.

    Examples differ far more than networks do, so each is compared with itself:
    the interval is that of the mean of the differences.

    Args:
        path: Folder that `tfr.analysis.report` wrote about one network.
        other: That of another network.

    Returns:
        By section of both, and by name, of what each example has the mean
        `difference`, of `path` minus `other`, its 95 % interval, `low` and
        `high`, and of how many `pairs`, those with a value in both; of other
        numbers the difference alone. `mean` and `other` are what was compared,
        over these pairs.

    Raises:
        FileNotFoundError: If a folder holds no report.
        ValueError: If they are of other examples, another attack, seed or
            judge, or have no section in common.

    Example:
        for name, model in {"robust": robust, "plain": plain}.items():
            tfr.analysis.report(model, (x, y), linf, name, ["attributions"])
        found = tfr.analysis.compare("robust", "plain")
        print(found["attributions"]["Gini index"]["difference"])
    """
    folders = [pathlib.Path(folder) for folder in (path, other)]
    one, two = (_read(folder) for folder in folders)
    for name in _SAME:
        expected = f"be of a report with the same {name} as that in {path}"
        given = one["info"].get(name), two["info"].get(name)
        checks.argument(given[0] == given[1], "other", expected, given)
    shared = [name for name in one["sections"] if name in two["sections"]]
    expected = f"have a section of {list(one['sections'])}"
    checks.argument(bool(shared), "other", expected, list(two["sections"]))
    return {
        section: _compared(
            *(report["sections"][section] for report in (one, two)),
            *(_examples(folder / section) for folder in folders),
        )
        for section in shared
    }


def _read(folder):
    try:
        return json.loads((folder / "report.json").read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{folder} holds no finished report. Write it with "
            "tfr.analysis.report(model, data, threat, path)."
        ) from None


def _examples(folder):
    """The values of each example, by name; none if they weren't kept."""
    path = folder / EXAMPLES
    if not path.exists():
        return {}
    with np.load(path) as file:
        return dict(file)


def _compared(one, two, ones, twos) -> dict[str, Any]:
    found = {}
    for name in (name for name in one if name in two):
        if name in ones and name in twos:
            found[name] = _paired(ones[name], twos[name])
        else:
            mean, other = one[name]["mean"], two[name]["mean"]
            difference = {"mean": mean, "other": other}
            found[name] = difference | {"difference": mean - other}
    return found


def _paired(one, two):
    kept = np.isfinite(one) & np.isfinite(two)
    one, two = one[kept].astype(np.float64), two[kept].astype(np.float64)
    if not len(one):
        return dict.fromkeys(("mean", "other", "difference"), math.nan)
    away = one - two
    spread = np.std(away, ddof=1) if len(away) > 1 else math.nan
    off = 1.96 * spread / math.sqrt(len(away))
    mean = float(np.mean(away))
    return {
        "mean": float(np.mean(one)),
        "other": float(np.mean(two)),
        "difference": mean,
        "low": float(mean - off),
        "high": float(mean + off),
        "pairs": len(away),
    }
