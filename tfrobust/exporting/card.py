"""The robustness card: what an artefact is, and what is known of it."""

import json

import numpy as np

from tfrobust import files
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.written import KEYS, robustbench

# What the signatures with a certificate do with what can't have one.
REFUSALS = (
    "An input out of the valid range or NaN, and logits or margins that aren't "
    "finite, are answered with class -1, certified false and margin -inf, row "
    "by row. serving_default guards no values."
)


def of_folder(folder, network, served, verifier, found, report):
    """The card of a SavedModel that is complete.

    Args:
        folder: Folder of the SavedModel.
        network: The Keras model that it holds.
        served: Its `ServedNetwork`.
        verifier: The `Verifier` of its signatures, or None.
        found: What was found on the artefact itself, by name, or None.
        report: A `Report` on the model, or None.
    """
    listed = sorted(path for path in folder.rglob("*") if path.is_file())
    threat = verifier.threat if verifier else None
    return {
        **_about(network, found, report, threat),
        "format": "SavedModel",
        "verifier": repr(verifier) if verifier else None,
        "threat": repr(threat) if threat else None,
        "epsilon": float(np.max(threat.epsilon)) if threat else None,
        "refusals": REFUSALS if threat else None,
        "kernels": _kernels(served.network.kernels),
        "bytes": sum(path.stat().st_size for path in listed),
        "sha256": {
            path.relative_to(folder).as_posix(): files.sha256(path)
            for path in listed
        },
        "artefact": found,
        "report": report.to_dict() if report else None,
    }


def of_file(path, network, format, found, report):
    """The card of a single file; see `of_folder`."""
    return {
        **_about(network, found, report),
        "format": format,
        "bytes": path.stat().st_size,
        "sha256": {path.name: files.sha256(path)},
        "artefact": found,
        "report": report.to_dict() if report else None,
    }


def accuracies(clean, worst, attack):
    """What an attack on an artefact found, from verdicts `[n]`."""
    return {
        "examples": len(clean),
        "clean_accuracy": float(clean.mean()),
        "attack": repr(attack),
        "attack_accuracy": float(worst.mean()),
    }


def write(path, card):
    """Writes a card as JSON."""
    with files.new_file(path) as new:
        new.write_text(json.dumps(card, indent=1, allow_nan=False))


def _about(network, found, report, threat=None):
    """What it is and how robust, in RobustBench's keys, then where it is from.

    Without a report it is what was found on the artefact itself.
    """
    info = Provenance(network, None, None).info(0)
    return {
        **(robustbench(report) if report else _robustbench(found, threat)),
        # The name is that of the report, which knows more of the model.
        "name": report.info["name"] if report else info["name"],
        "architecture": info["architecture"],
        "weights_sha256": info["weights_sha256"],
        "versions": info["versions"],
        "weights": sum(int(np.prod(w.shape)) for w in network.weights),
        "report_on_these_weights": _same_weights(info, report),
        "reported_threats": _threats(report),
    }


def _robustbench(found, threat):
    """RobustBench's keys of what has no report; null is what isn't known."""
    known = dict.fromkeys(KEYS)
    known["number_forward_passes"] = 1
    if found:
        known["clean_acc"] = f"{100 * found['clean_accuracy']:.2f}"
        known["reported"] = f"{100 * found['attack_accuracy']:.2f}"
        known["footnote"] = f"Attacked with {found['attack']}"
    if threat:
        known["eps"] = float(np.max(threat.epsilon))
    return known


def _same_weights(info, report):
    """Whether the report is on the weights exported; None if not known."""
    hashed = report and report.info.get("weights_sha256")
    return hashed == info["weights_sha256"] if hashed else None


def _threats(report):
    """The threat of each adversary of a report in words, by its name."""
    asked = report.info.get("adversaries", {}) if report else {}
    return {name: known["threat"] for name, known in asked.items()} or None


def _kernels(kernels):
    return [
        {
            "name": kernel.name,
            "scheme": kernel.packed.scheme,
            "shape": list(kernel.packed.shape),
            "bytes": kernel.packed.nbytes,
            "crc32": f"{kernel.packed.checksum:08x}",
        }
        for kernel in kernels
    ]
