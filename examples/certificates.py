"""What verifiers prove of a model on some images: errors, radii and boxes.

Usage:
    certificates.errors(model, x, y, epsilon=0.1, seed=0)["crown"]
"""

import numpy as np

import tfrobust as tfr
from tfrobust import verifiers

REACH = 0.4  # No certified radius larger than this is looked for.


def cheap(model, x, y, epsilon):
    """Clean error, and that which intervals certify."""
    adversaries = {"ibp": verifiers.IBP(tfr.threats.Linf(epsilon))}
    report = tfr.evaluate(model, (x, y), adversaries, diagnostic_examples=0)
    return {row.name: 1 - row.accuracy for row in report.rows[:-1]}


def errors(model, x, y, epsilon, seed):
    """Clean, attacked and certified error on the same images, by name.

    Args:
        model: A `RobustModel`.
        x: Images in [0, 1], shape `[n, height, width, channels]`.
        y: Labels, shape `[n]`.
        epsilon: linf radius.
        seed: Seed of the attack.

    Raises:
        SystemExit: If a certificate contradicts the attack.
    """
    linf = tfr.threats.Linf(epsilon)
    adversaries = {
        "pgd": tfr.attacks.PGD(linf, 40, 0.1, restarts=2, seed=seed),
        "ibp": verifiers.IBP(linf),
        "crown-ibp": verifiers.CROWNIBP(linf),
        "fast-lin": verifiers.FastLin(linf),
        "crown": verifiers.CROWN(linf),
        "alpha-crown": verifiers.AlphaCROWN(linf),
    }
    report = tfr.evaluate(
        model, (x, y), adversaries, batch_size=64, diagnostic_examples=0
    )
    clean, attacked, *certified, _ = (row.correct for row in report.rows)
    if np.any(attacked & ~clean) or np.any(np.array(certified) & ~attacked):
        raise SystemExit("Certified <= attacked <= clean does not hold.")
    found = {row.name: 1 - row.accuracy for row in report.rows[:-1]}
    # What any of the verifiers proves counts.
    return {**found, "best": 1 - float(np.mean(np.any(certified, axis=0)))}


def radii(model, x, y, epsilon):
    """Mean certified radius, and how often an image was bounded for it."""
    near, far = (tfr.threats.Linf(e) for e in (epsilon, REACH))
    envelope = verifiers.PolyhedralEnvelope
    searches = {
        # Bounded once: what the envelope certifies of epsilon.
        "envelope": (envelope(near), epsilon),
        "largest, envelope": (envelope(far), 1e-4),
        "largest, crown": (verifiers.CROWN(far), 1e-4),
    }
    row = {}
    for name, (verifier, tolerance) in searches.items():
        found = verifiers.certified_radius(model, x, y, verifier, tolerance)
        row[name] = float(found.radius.mean())
        row[f"{name}, calls"] = float(found.calls.mean())
    return row


def boxes(model, x, y, epsilon, steps, folder):
    """Mean radius of cubes and of boxes, within [0, 1] and without a range.

    Args:
        model: A `RobustModel`.
        x: Images in [0, 1].
        y: Labels.
        epsilon: linf radius, which says nothing about the boxes' radii.
        steps: Steps of the optimiser of the boxes.
        folder: Receives boxes.npz and boundless.npz.
    """
    rows = {}
    # The second may leave the range of pixels, as in the paper.
    for name, low, high in (("boxes", 0.0, 1.0), ("boundless", -1.0, 2.0)):
        crown = verifiers.CROWN(tfr.threats.Linf(epsilon, low=low, high=high))
        found = verifiers.maximize_box(model, x, y, crown, steps)
        np.savez_compressed(
            folder / f"{name}.npz",
            x=x,
            y=y,
            radii=found.radii,
            certified=found.certified,
        )
        rows[name] = {
            "certified": int(found.certified.sum()),
            "uniform": float(found.uniform.mean()),
            "non-uniform": float(found.geometric_mean.mean()),
            "similarity": float(found.similarity.mean()),
        }
    return rows
