"""A model that tells how often its training step was traced."""

import tfrobust as tfr


class Counted(tfr.RobustModel):
    """Counts how often its training step is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)
