"""How smooth the loss of a model is: in its input and in its weights.

Usage:
    python examples/landscape.py --output_dir=runs/landscape
    python examples/landscape.py --model=runs/mnist/best.keras --dataset=mnist \
        --epsilon=0.1 --output_dir=runs/landscape

Writes index.html, one page with tables and pictures, and report.json: local
linearity and curvature in the input; eigenvalues and density of the Hessian at
points of an attack; the loss along a direction of the weights, attacked anew,
and how gradients jump. A run that is stopped goes on where it was. Without
`--model` a small network is first trained on the bundled digits. `--compare`
prints in what the model differs from that of another page, and how sure that
is; `--table` appends what is found, or the comparison, to a CSV file.
"""

from absl import flags

import looking

flags.adopt_module_key_flags(looking)

SECTIONS = "smoothness", "curvature", "landscape"

if __name__ == "__main__":
    looking.run(SECTIONS)
