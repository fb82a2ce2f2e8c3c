"""Batches as `certify` takes them: of a function, and of one property."""

import numpy as np

from tfrobust import checks, kinds


def of_a_function(network, parts):
    """The batches, once the network answers the same twice."""
    for number, (x, y) in enumerate(parts):
        if number == 0:
            checks.fits(x.shape[1:], network)
            few = kinds.tensor(x[:2])
            once, again = (
                np.asarray(network(few, training=False)) for _ in range(2)
            )
            if not np.allclose(once, again, 1e-3, 1e-5, equal_nan=True):
                raise ValueError(
                    "A certificate needs a network that is a function of its "
                    "input alone. Received one that answers the same inputs "
                    "otherwise when it is called again. Are there layers with "
                    "state in Python, or that are random without training=True?"
                )
        yield x, y


def shown(clauses, specification, parts):
    """Batches of one, each once the network has the rows of its example."""
    for example, batch in enumerate(parts):
        clauses.show(specification, example)
        yield batch
