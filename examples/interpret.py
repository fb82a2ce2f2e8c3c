"""What a model reads in its input, and how its decision boundary lies.

Usage:
    python examples/interpret.py --output_dir=runs/interpret
    python examples/interpret.py --model=runs/mnist/best.keras --dataset=mnist \
        --epsilon=0.1 --output_dir=runs/interpret

Writes index.html, one page with tables and pictures, and report.json: maps of
what the model reads, how far they point along the input, how sparse, smooth and
stable they are, and whether they tell of the model at all; what it makes of
images, which `--judge`, an independent network, may look at; the nearest points
of the decision boundary and how alike its normals are. A run that is stopped
goes on where it was. Without `--model` a small network is first trained on the
bundled digits. `--compare` prints in what the model differs from that of
another page, and how sure that is; `--table` appends what is found, or the
comparison, to a CSV file.
"""

from absl import flags

import looking

flags.adopt_module_key_flags(looking)

SECTIONS = "attributions", "faithfulness", "generation", "boundary"

if __name__ == "__main__":
    looking.run(SECTIONS)
