"""Tinysight: labelled images in, a small classifier that you can trust and ship out.

The public names below are loaded when first used, so that ``import tinysight`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier as Classifier, Prediction as Prediction
    from .data.dataset import ImageSet as ImageSet
    from .data.loading import load_images as load_images
    from .data.splits import split_images as split_images
    from .errors import (
        DataError as DataError,
        ModelFileError as ModelFileError,
        OutputError as OutputError,
        SettingsError as SettingsError,
        TinysightError as TinysightError,
    )
    from .evaluation import Evaluation as Evaluation, evaluate as evaluate
    from .html_page import export_page as export_page
    from .run_folder import save_run as save_run
    from .training.networks import functional as functional, sequential as sequential
    from .training.settings import TrainingSettings as TrainingSettings
    from .training.train import Training as Training, train as train

__version__ = "0.1.0"

# The same names by module; the imports above are for type checkers.
_MODULES = {
    "classifier": ("Classifier", "Prediction"),
    "data.loading": ("ImageSet", "load_images"),
    "data.splits": ("split_images",),
    "errors": ("DataError", "ModelFileError", "OutputError", "SettingsError", "TinysightError"),
    "evaluation": ("Evaluation", "evaluate"),
    "html_page": ("export_page",),
    "run_folder": ("save_run",),
    "training.networks": ("functional", "sequential"),
    "training.settings": ("TrainingSettings",),
    "training.train": ("Training", "train"),
}
_MODULE_OF_NAME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = ["__version__", *_MODULE_OF_NAME]  # noqa: PLE0604 - they are strings


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562)."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'tinysight' has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF_NAME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
