"""What the JSON of a report must be like to be believed."""

import math

# What follows from the rest, and older versions didn't say.
FOLLOWS = (
    "title",
    "clean_accuracy",
    "robust_accuracy",
    "certified_accuracy",
    "certification",
    "per_class",
    "curve_intervals_95",
    "certified_curve",
)


def modern(record):
    """The record, with what older versions didn't know said to be unknown."""
    if not isinstance(record, dict):
        return record
    checks = record.get("checks", ())
    if isinstance(checks, list) and all(isinstance(c, dict) for c in checks):
        checks = [
            {**check, "examples": check.get("examples")} for check in checks
        ]
        record = {**record, "checks": checks}
    return {"answers": {}, **record}


def check(record):
    """Refuses what no report writes.

    What follows from the rest, such as an accuracy, is not looked at here.

    Args:
        record: What JSON holds, of any kind.

    Raises:
        KeyError: If something is missing.
        ValueError: If something isn't of its kind, or doesn't fit the rest.
    """
    _require(isinstance(record, dict), "the whole", record)
    rows = _listed(record["rows"], "rows", dict)
    for row in rows:
        _fields(row, _ROW, "row")
        _require((row["epsilon"] or 0) >= 0, "epsilon", row["epsilon"])
        for name in ("forwards", "backwards", "seconds"):
            _require(row[name] >= 0, name, row[name])
    names = [row["name"] for row in rows]
    _require(len(set(names)) == len(names), "names of rows", names)
    _require(
        len(rows) > 1 and names[0] == "clean" and names[-1] == "worst case",
        "rows from clean to worst case",
        names,
    )
    count = len(record["verdicts"]["clean"])
    _require(count > 0 and list(record["verdicts"]) == names, "verdicts", names)
    for name, verdicts in record["verdicts"].items():
        _listed(verdicts, f"verdicts of {name!r}", int, count)
        _require(set(verdicts) <= {0, 1}, f"verdicts of {name!r}", verdicts)
    for part in _listed(record["checks"], "checks", dict):
        _fields(part, _CHECK, "check")
    _fields(record["info"], _INFO, "info")
    asked = _mapping(record["info"].get("adversaries", {}), "adversaries")
    for part in asked.values():
        _fields(part, _ASKED, "configuration")
    _require(record["info"]["examples"] == count, "number of examples", count)
    for name, curve in _mapping(record["curves"], "curves").items():
        _check_curve(name, curve, count)
    _check_certificates(_mapping(record["certificates"], "certificates"), count)
    _check_answers(_mapping(record["answers"], "answers"), names, count)
    for name, counts in _mapping(record["classes"], "classes").items():
        _listed(counts, f"classes of {name!r}", int)
        fine = sum(counts) == count and min(counts) >= 0
        _require(fine, f"classes of {name!r}", counts)


def _check_curve(name, curve, count):
    what = f"curve of {name!r}"
    _require(isinstance(curve, dict), what, curve)
    points = _listed(curve["epsilon"], what, float)
    shares = _listed(curve["accuracy"], what, float, len(points))
    _require(all(0 <= share <= 1 for share in shares), what, shares)
    _require(all(epsilon >= 0 for epsilon in points), what, points)
    _require(_is(curve["examples"], int), what, curve["examples"])
    _require(0 < curve["examples"] <= count, what, curve["examples"])


def _check_answers(answers, names, count):
    if answers:
        _require(set(answers) == {"label", "predicted"}, "answers", [*answers])
        _listed(answers["label"], "labels", int, count)
        predicted = _mapping(answers["predicted"], "predicted classes")
        _require(set(predicted) <= {*names}, "predicted classes", [*predicted])
        for name, classes in predicted.items():
            what = f"classes predicted under {name!r}"
            _listed(classes, what, int, count)


def _check_certificates(certificates, count):
    if certificates:
        verdicts = _listed(certificates["verdict"], "verdict", str, count)
        known = {"certified", "falsified", "unknown"}
        _require(set(verdicts) <= known, "verdict", verdicts)
        margins = certificates["margin"]
        _require(isinstance(margins, list), "margin", margins)
        numbers = [0.0 if margin is None else margin for margin in margins]
        _listed(numbers, "margin", float, count)
        deciders = certificates.get("decided_by", [None] * count)
        _require(isinstance(deciders, list), "deciders", deciders)
        _require(len(deciders) == count, "deciders", deciders)
        texts = [name for name in deciders if name is not None]
        _listed(texts, "deciders", str)
        radii = certificates.get("radius", [0.0] * count)
        _listed(radii, "radius", float, count)
        _require(min(radii) >= 0, "radius", radii)


def _fields(part, kinds, what):
    """Checks the values of a dictionary: several kinds allow any of them."""
    _mapping(part, what)
    for name, allowed in kinds.items():
        fits = any(_is(part[name], kind) for kind in allowed)
        _require(fits, f"{name} of a {what}", part[name])


def _listed(values, what, kind, count=None):
    _require(isinstance(values, list), what, values)
    _require(all(_is(value, kind) for value in values), what, values)
    _require(count in (None, len(values)), f"number of {what}", len(values))
    return values


def _mapping(value, what):
    _require(isinstance(value, dict), what, value)
    return value


def _is(value, kind):
    """Whether a value is of a kind; a float may be whole, but is a number."""
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    # Else True would be an integer.
    return type(value) is kind


def _require(condition, what, received):
    if not condition:
        shown = repr(received)
        shown = shown if len(shown) < 60 else f"{shown[:60]} ..."
        raise ValueError(f"no report has this for {what}: {shown}")


_NONE = type(None)
_ROW = {
    **dict.fromkeys(("name", "adversary"), (str,)),
    **dict.fromkeys(("ensemble", "identity", "norm", "threat"), (str, _NONE)),
    **dict.fromkeys(("epsilon", "largest_norm"), (float, _NONE)),
    **dict.fromkeys(("forwards", "backwards"), (int,)),
    **dict.fromkeys(("inside", "finite", "proven"), (bool,)),
    **dict.fromkeys(("standard", "gradient_free"), (bool,)),
    "seconds": (float,),
}
_CHECK = {
    **dict.fromkeys(("name", "detail"), (str,)),
    **dict.fromkeys(("passed", "critical"), (bool,)),
    "overstated": (float,),
    "examples": (int, _NONE),
}
_ASKED = {
    **dict.fromkeys(("kind", "role", "threat"), (str,)),
    **dict.fromkeys(("settings", "seeds"), (dict,)),
    "epsilon": (float, _NONE),
}
_INFO = {
    **dict.fromkeys(("name", "architecture", "started"), (str,)),
    **dict.fromkeys(("data_sha256", "weights_sha256"), (str, _NONE)),
    "dataset": (str, _NONE),
    "examples": (int,),
}
