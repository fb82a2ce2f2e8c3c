"""Progress bars that say what they count."""

from tfrobust.backend import keras


class Progress:
    """A bar of Keras's under a line that names it.

    Args:
        name: What is going on, such as `"cnn: clean, pgd"`.
        total: How many steps there are, None if nobody knows.
        verbose: 1 shows it, 0 is silent.
    """

    def __init__(self, name: str, total: int | None, verbose: int = 1):
        if verbose:
            print(name, flush=True)
        self._bar = keras.utils.Progbar(total, verbose=verbose)

    def step(self) -> None:
        """One step is done."""
        self._bar.add(1)
