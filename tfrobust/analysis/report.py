"""A page about what a trained network is like."""

import base64
import html
import json
import math
import pathlib
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrobust import checks, files
from tfrobust.analysis.compare import EXAMPLES
from tfrobust.analysis.problem import problem
from tfrobust.analysis.risk import check_float32
from tfrobust.analysis.section import Problem
from tfrobust.analysis.sections import SECTIONS
from tfrobust.attack import Attack
from tfrobust.attacks import PGD
from tfrobust.averaging import on_network
from tfrobust.backend import keras
from tfrobust.evaluation import contents, page
from tfrobust.evaluation.identity import identity
from tfrobust.evaluation.provenance import Provenance, weights_sha256
from tfrobust.objectives.arguments import attack_of
from tfrobust.progress import Progress
from tfrobust.threats import Threat
from tfrobust.types import Path, TensorLike

_PAGE = string.Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>$style
figure { margin: 1rem 0; } figure img { max-width: 100%; }</style></head><body>
<h1>$title</h1><p class="note">$subtitle</p>
$sections
<h2>Provenance</h2><dl>$info</dl>
</body></html>
""")


@on_network
def report(
    model: Any,
    data: tuple[TensorLike, TensorLike],
    threat: Threat | Attack,
    path: Path,
    sections: Sequence[str] | None = None,
    examples: int = 256,
    few: int = 128,
    name: str | None = None,
    seed: int = 0,
    verbose: int = 1,
    judge: Any = None,
) -> dict[str, Any]:
    """Looks at a network from all sides, and writes a page about it.

    The folder gets `index.html`, which needs nothing but itself, `report.json`,
    and a folder for each section. One that an earlier call of the same
    arguments finished isn't computed again, so a killed report goes on.

    Args:
        model: A `RobustModel` or a Keras model of logits, in float32.
        data: Inputs `[batch, ...]` and integer labels `[batch]`.
        threat: A `Threat`, which PGD of 10 steps searches, or an `Attack`.
        path: Folder to write, new or of the same report.
        sections: Which, of "smoothness", "curvature", "landscape",
            "attributions", "faithfulness", "generation" and "boundary"; None
            for all.
        examples: How many of the first examples to look at.
        few: How many of them the Hessian and the landscape are of.
        name: Name of the model on the page; None for its own.
        seed: Integer that keys all that is random.
        verbose: 1 for a progress bar, 0 for silence.
        judge: An independent network, which says what it takes the images
            for that `model` makes; None for none.

    Returns:
        By section what was found: by name `mean`, and of what each example has
        the 95 % interval of the mean, `low` and `high`, and its `median`.

    Raises:
        FileExistsError: If the folder holds something else.
        ImportError: If matplotlib is missing.
        TypeError: If `threat` is neither a threat nor an attack.
        ValueError: If a section is unknown, the model computes in other
            precision than float32, or an argument is out of its range.

    Example:
        tfr.analysis.report(model, (x, y), linf, "page", ["attributions"])
    """
    chosen = list(SECTIONS) if sections is None else list(sections)
    fits = bool(chosen) and all(section in SECTIONS for section in chosen)
    expected = f"be some of {', '.join(SECTIONS)}"
    checks.argument(fits, "sections", expected, sections)
    for key, value in {"examples": examples, "few": few}.items():
        checks.count(value, key)
    checks.kind(model, keras.Model, "model", "a Keras model of logits")
    check_float32(model)
    attack = attack_of(threat, lambda t: PGD(t, steps=10))
    x, y = (np.asarray(part)[:examples] for part in data)
    x, y = problem(model, x, y, 128)
    attack.threat.checked(x)
    subject = Problem(model, x, y, attack, min(few, len(x)), seed, judge)
    source = Provenance(model, name, None)
    source.add(x, y)
    info = source.info(len(x)) | {
        "attack": repr(attack),
        "threat": repr(attack.threat),
        "few": subject.few,
        "seed": seed,
    }
    if judge is not None:
        info["judge_sha256"] = weights_sha256(judge)
    folder = pathlib.Path(path)
    _begin(folder, identity([subject.few, seed, attack, x, y, judge]), info)
    title = f"{source.name}: {', '.join(chosen)}"
    bar = Progress(title, len(chosen), verbose)
    for section in chosen:
        _ensure(folder / section, section, subject)
        bar.step()
    found = {s: _read(folder / s) for s in chosen}
    with files.new_file(folder / "report.json") as file:
        file.write_text(json.dumps({"info": info, "sections": found}, indent=1))
    with files.new_file(folder / "index.html") as file:
        file.write_text(_page(folder, found, info))
    return found


def _begin(folder, key, info):
    """Makes the folder, or sees that it is of the same report."""
    mark = folder / "identity.txt"
    key = f"{key} {info['weights_sha256']}"
    if mark.exists() and mark.read_text() == key:
        return
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds something else, such as a report of another "
            "model, data or threat, which is kept. Choose another path."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with files.new_file(mark) as file:
        file.write_text(key)


def _ensure(folder, section, subject):
    """Computes a section, whole or not at all, unless it is there."""
    if folder.exists():
        return
    found = SECTIONS[section].run(subject)
    values = {name: _summary(value) for name, value in found.values.items()}
    with files.new_folder(folder) as new:
        (new / "values.json").write_text(json.dumps(values, indent=1))
        each = {k: v for k, v in found.values.items() if np.ndim(v)}
        if each:
            np.savez(new / EXAMPLES, **each)
        for name, plot in found.plots.items():
            plot(new / f"{name}.png")


def _summary(value):
    """A number as it is; of several the mean, and how sure it is."""
    if np.ndim(value) == 0:
        return {"mean": float(value)}
    kept = np.asarray(value, np.float64)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        return {"mean": math.nan, "examples": 0}
    mean = float(np.mean(kept))
    spread = np.std(kept, ddof=1) if len(kept) > 1 else math.nan
    off = float(1.96 * spread / math.sqrt(len(kept)))
    return {
        "mean": mean,
        "low": mean - off,
        "high": mean + off,
        "median": float(np.median(kept)),
        "examples": len(kept),
    }


def _read(folder):
    return json.loads((folder / "values.json").read_text())


def _page(folder, found, info):
    sections = "".join(
        f"<h2>{html.escape(SECTIONS[name].title)}</h2>"
        f'<p class="note">{html.escape(SECTIONS[name].text)}</p>'
        f"{_table(values)}{_pictures(folder / name)}"
        for name, values in found.items()
    )
    return _PAGE.substitute(
        style=page.STYLE,
        title=html.escape(f"{info['name']}, looked at"),
        subtitle=html.escape(f"{info['examples']} examples, {info['started']}"),
        sections=sections,
        info=page.definitions(contents.provenance(info)),
    )


def _table(values):
    rows = [("", "mean", "95 % interval", "median")]
    for name, value in values.items():
        ends = [value[end] for end in ("low", "high") if end in value]
        interval = " to ".join(f"{end:.4g}" for end in ends)
        median = f"{value['median']:.4g}" if "median" in value else ""
        rows.append((name, f"{value['mean']:.4g}", interval, median))
    return page.table(rows)


def _pictures(folder):
    return "".join(
        '<figure><img alt="" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode()}"></figure>'
        for path in sorted(folder.glob("*.png"))
    )
