"""Initial weights of networks that are to be certified."""

from tfrobust.initializers.ibp_init import IBPInit

__all__ = ["IBPInit"]


def __dir__() -> list[str]:
    return __all__
