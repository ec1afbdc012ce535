"""Tinysight: labelled images in, a small classifier that you can trust and ship out.

The public names below are loaded when first used, so that ``import tinysight`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import Classifier, Prediction
    from .errors import DataError, ModelFileError, OutputError, SettingsError, TinysightError
    from .evaluation import Evaluation, evaluate
    from .export import export_page
    from .images import ImageSet, load_images
    from .models import functional, sequential
    from .runs import save_run
    from .settings import TrainingSettings
    from .splits import split_images
    from .training import Training, train

__version__ = "0.1.0"

_ROOM_OF_NAME = {
    "Classifier": "classifier",
    "DataError": "errors",
    "Evaluation": "evaluation",
    "ImageSet": "images",
    "ModelFileError": "errors",
    "OutputError": "errors",
    "Prediction": "classifier",
    "SettingsError": "errors",
    "TinysightError": "errors",
    "Training": "training",
    "TrainingSettings": "settings",
    "evaluate": "evaluation",
    "export_page": "export",
    "functional": "models",
    "load_images": "images",
    "save_run": "runs",
    "sequential": "models",
    "split_images": "splits",
    "train": "training",
}
__all__ = [
    "Classifier",
    "DataError",
    "Evaluation",
    "ImageSet",
    "ModelFileError",
    "OutputError",
    "Prediction",
    "SettingsError",
    "TinysightError",
    "Training",
    "TrainingSettings",
    "__version__",
    "evaluate",
    "export_page",
    "functional",
    "load_images",
    "save_run",
    "sequential",
    "split_images",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name's room when the name is first used (PEP 562)."""
    if name not in _ROOM_OF_NAME:
        raise AttributeError(f"module 'tinysight' has no attribute {name!r}")
    return getattr(import_module(f".{_ROOM_OF_NAME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
