"""The one place that asks for optional dependencies."""

import importlib
from types import ModuleType

from segserve.errors import MissingExtraError


def require(module: str, *, extra: str, feature: str) -> ModuleType:
    """Import an optional module. Raises MissingExtraError, which names the feature and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{feature} needs {module.partition('.')[0]}, which is not installed: pip install 'segserve[{extra}]'"
        ) from error
