"""Draws the certified radius of every pixel: rows of images, a column a run.

Usage:
    python examples/plot_boxes.py --output=boxes.png \
        runs/fc1_plain runs/fc1_pgd runs/fc1_ibp

It also prints how well the radii follow the digits: their correlation (of the
logarithm, with intensity) with the image itself and with the other images, and
the geometric mean of the radii on the ink, above 0.5, over that on the paper;
and how alike the boxes are: the mean correlation of two maps of one class, of
two classes, and of two of one class whose pixels are shuffled.
"""

import pathlib

import numpy as np
from absl import app, flags
from matplotlib import pyplot as plt

import tfrobust as tfr

FLAGS = flags.FLAGS
flags.DEFINE_string("boxes", "boxes.npz", "Which file of each folder.")
flags.DEFINE_integer("images", 4, "How many images to draw.", lower_bound=1)
flags.DEFINE_string("output", None, "Image to write.", required=True)


def main(argv):
    folders = [pathlib.Path(folder) for folder in argv[1:]]
    if not folders:
        raise app.UsageError("Name at least one folder of a run.")
    runs = {folder.name: np.load(folder / FLAGS.boxes) for folder in folders}
    print("| run | images | own image | other images | ink / paper |")
    print("|---|---|---|---|---|")
    for name, run in runs.items():
        found = " | ".join(f"{value:.2f}" for value in follows(run))
        print(f"| {name} | {run['certified'].sum()} | {found} |")
    print("\n| run | within classes | across classes | shuffled |")
    print("|---|---|---|---|")
    for name, run in runs.items():
        found = " | ".join(f"{value:.2f}" for value in alike(run))
        print(f"| {name} | {found} |")
    draw(runs).savefig(FLAGS.output, dpi=100)


def follows(run):
    """How the radii of a run follow the images: the last three columns."""
    certified = run["certified"]
    count = certified.sum()
    images = run["x"][certified].reshape(count, -1)
    radii = np.log(run["radii"][certified]).reshape(count, -1)
    table = standard(radii) @ standard(images).T
    ink = images > 0.5
    ratio = [
        r[i].mean() - r[~i].mean() for r, i in zip(radii, ink, strict=True)
    ]
    yield np.mean(np.diag(table))
    yield np.mean(table[~np.eye(count, dtype=bool)])
    yield np.exp(np.mean(ratio))


def alike(run):
    """How alike the maps of radii are: the columns of the second table."""
    certified = run["certified"]
    radii = np.log(run["radii"][certified]).reshape(certified.sum(), -1)
    # A cube, whose map is constant, has no direction.
    maps, kept = standard(radii), np.ptp(radii, axis=1) > 1e-4
    labels = run["y"][certified].astype(int)
    found = tfr.analysis.normal_similarity(maps[kept], labels[kept])
    return found.within, found.across, found.null_within


def standard(rows):
    """Rows whose products are correlations; 0 for a row that is constant."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(size > 1e-4, size, np.inf)


def draw(runs):
    """A figure: the images and, for each run, the logarithm of the radii."""
    names = list(runs)
    images = runs[names[0]]["x"][: FLAGS.images]
    size = 1.6 * (1 + len(names)), 1.7 * len(images)
    figure, panels = plt.subplots(
        len(images), 1 + len(names), squeeze=False, figsize=size
    )
    for row, image in zip(panels, images, strict=True):
        row[0].imshow(image.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
    for column, name in zip(panels[:, 1:].T, names, strict=True):
        for panel, radii in zip(column, runs[name]["radii"], strict=False):
            # Each map has its own scale: it is the shape that is compared.
            radii = np.maximum(radii.mean(axis=-1), 1e-6)
            panel.imshow(np.log(radii), cmap="viridis")
    for panel, name in zip(panels[0], ["image", *names], strict=True):
        panel.set_title(name, fontsize=9)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    app.run(main)
