"""The command `tfrobust`."""

from tfrobust.commands.main import main

__all__ = ["main"]


def __dir__() -> list[str]:
    return __all__
