"""What a report of an analysis consists of, section by section."""

import numpy as np

from tfrobust.analysis.alignment import (
    alignment,
    class_mean_cosine,
    class_means,
)
from tfrobust.analysis.boundary import boundary
from tfrobust.analysis.deletion_insertion import deletion_insertion
from tfrobust.analysis.generate import generate
from tfrobust.analysis.gradient_continuity import gradient_continuity
from tfrobust.analysis.grid import grid
from tfrobust.analysis.hessian import hessian
from tfrobust.analysis.input_smoothness import input_smoothness
from tfrobust.analysis.integrated_gradients import integrated_gradients
from tfrobust.analysis.invert_features import invert_features
from tfrobust.analysis.normals import dimension, normal_similarity
from tfrobust.analysis.randomization import randomization
from tfrobust.analysis.saliency import saliency
from tfrobust.analysis.scan import scan
from tfrobust.analysis.section import Found, Section
from tfrobust.analysis.smooth_grad import smooth_grad
from tfrobust.analysis.sparsity import gini, mass, object_mass
from tfrobust.analysis.stability import stability
from tfrobust.analysis.total_variation import total_variation
from tfrobust.attacks import MinimumNorm

# The boundary is sought so many radii away.
_FAR = 8.0


def _smoothness(problem):
    found = input_smoothness(
        problem.model, problem.x, problem.y, problem.attack, seed=problem.seed
    )
    return Found({k: v for k, v in vars(found).items() if k != "residual"})


def _curvature(problem):
    curvature = hessian(problem.model, problem.part, attack=problem.attack)
    count = min(5, curvature.size)
    top = curvature.eigenvalues(count, limit=80, seed=problem.seed)
    values = {
        f"eigenvalue {k + 1}": value for k, value in enumerate(top.values)
    }
    values["largest residual"] = np.max(top.residuals)
    density = curvature.density(steps=40, seed=problem.seed)
    return Found(values, {"density": density.plot})


def _landscape(problem):
    found = scan(
        problem.model,
        problem.part,
        grid=np.linspace(-1, 1, 21),
        attack=problem.attack,
        every=2,
        seed=problem.seed,
    )
    jumps = gradient_continuity(
        problem.model, problem.part, attack=problem.attack, seed=problem.seed
    )
    values = {"loss at the weights": found.loss[10]}
    values |= {
        f"gradient change per length, at {length:.1g}": quotient
        for length, quotient in zip(
            jumps.lengths.mean(axis=1), jumps.mean, strict=True
        )
    }
    return Found(values, {"line": found.plot, "continuity": jumps.plot})


def _attributions(problem):
    model, x, y = problem.model, problem.x, problem.y
    maps = saliency(model, x, y)
    integrated = integrated_gradients(model, x, y)
    means = class_means(x, y)
    values = {
        "alignment, cosine": alignment(x, maps).cosine,
        "cosine with class means": class_mean_cosine(model, x, means, y, maps),
        "Gini index": gini(maps),
        "pixels that hold 90 %": mass(maps),
        "total variation": total_variation(maps),
        "completeness error": integrated.error,
    }
    if not problem.images:
        return Found(values)
    values["mass on bright pixels"] = object_mass(
        maps, x, np.mean(problem.ends)
    )
    shown = slice(min(6, len(x)))
    named = {
        "saliency": maps[shown],
        "integrated": integrated.maps[shown],
        "smooth": smooth_grad(model, x[shown], y[shown], seed=problem.seed),
    }
    return Found(values, {"maps": lambda path: grid(path, x[shown], named)})


def _faithfulness(problem):
    model, x, y = problem.model, problem.x, problem.y
    areas = deletion_insertion(model, x, saliency(model, x, y), y)
    random = randomization(model, x, y, seed=problem.seed)
    threat = problem.attack.threat
    noise = stability(model, x, threat, y, seed=problem.seed)
    attacked = stability(model, x, problem.attack, y)
    return Found(
        {
            "deletion": areas.deletion,
            "insertion": areas.insertion,
            "correlation with random weights": random.signed,
            "that of magnitudes": random.absolute,
            "stability under noise": noise.cosine,
            "stability under attack": attacked.cosine,
            "overlap under noise": noise.overlap,
            "overlap under attack": attacked.overlap,
        }
    )


def _generation(problem):
    x, ends = problem.x, problem.ends
    target = (problem.y + 1) % problem.classes
    far = np.linalg.norm(
        (x - np.roll(x, 1, axis=0)).reshape(len(x), -1), axis=1
    )
    made = generate(
        problem.model, x, target, np.mean(far) / 2, 60, *ends, problem.judge
    )
    values = {"takes it for the target": made.reached}
    if made.judged is not None:
        values["the judge takes it for the target"] = made.judged
    if problem.features:
        inverted = invert_features(
            problem.model,
            problem.features,
            problem.part[0],
            low=ends[0],
            high=ends[1],
            seed=problem.seed,
        )
        values["distance of inverted features"] = inverted.distance
        values["squared error of their images"] = inverted.error
    if not problem.images:
        return Found(values)
    shown = slice(min(6, len(x)))
    named = {"change": made.images[shown] - x[shown]}
    return Found(
        values, {"made": lambda path: grid(path, made.images[shown], named)}
    )


def _boundary(problem):
    far = problem.attack.against(problem.attack.threat.scaled(_FAR))
    found = boundary(
        problem.model,
        problem.x,
        problem.y,
        attack=MinimumNorm(far, steps=8),
        seed=problem.seed,
    )
    values = {
        "share found": float(np.mean(found.found)),
        "distance": found.distance,
        "angle of normals nearby": found.angle,
        "curvature": found.curvature,
    }
    labels, normals = problem.y[found.found], found.normals[found.found]
    if len(labels) > 1:
        alike = normal_similarity(normals, labels, seed=problem.seed)
        values |= {
            "cosine of normals within classes": alike.within,
            "of shuffled ones": alike.null_within,
            "cosine across classes": alike.across,
            "directions that hold 90 %": dimension(normals),
        }
    return Found(values)


SECTIONS = {
    "smoothness": Section(
        "Smoothness in the input",
        "How far the loss is from linear within the threat: errors and "
        "curvature near 0, cosines near 1 are those of a smooth loss.",
        _smoothness,
    ),
    "curvature": Section(
        "Curvature in the weights",
        "Eigenvalues of the Hessian at points of the attack, kept fixed. "
        "Robust training of larger radii has larger ones.",
        _curvature,
    ),
    "landscape": Section(
        "Landscape",
        "The loss under attack along a random direction of the weights, and "
        "how much gradients differ between weights that come together: of a "
        "smooth loss the quotient settles, else it grows.",
        _landscape,
    ),
    "attributions": Section(
        "What the model reads",
        "Gradients of the label's lead over the next class. Maps of robust "
        "models are said to lie on the object and to point along it.",
        _attributions,
    ),
    "faithfulness": Section(
        "Whether the maps tell of the model",
        "Deletion of what a map marks should hurt (low), insertion help "
        "(high). Maps that stay as they are under random weights read the "
        "input alone; magnitudes may, where gradients vanish with the input.",
        _faithfulness,
    ),
    "generation": Section(
        "What the model makes of images",
        "Each input is moved to the next class, half as far as inputs are "
        "from each other: what a robust model makes, others should know "
        "again. Inputs are sought, from noise, with the features of others, "
        "those that the logits are read from: of a robust model they should "
        "look alike.",
        _generation,
    ),
    "boundary": Section(
        "Decision boundary",
        "Nearest points at which another class wins, and whether normals "
        "there are alike: compare with those whose features are shuffled.",
        _boundary,
    ),
}
