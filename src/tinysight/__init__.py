"""Tinysight trains, measures and serves small image classifiers.

The public names below are loaded when first used, so that ``import tinysight`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checks.run import Check as Check, check_images as check_images
    from .classifier import Classifier as Classifier, Prediction as Prediction
    from .comparison import Comparison as Comparison, compare as compare
    from .cross_validation import CrossValidation as CrossValidation, cross_validate as cross_validate
    from .data.dataset import ImageSet as ImageSet
    from .data.loading import load_images as load_images
    from .data.splits import split_images as split_images
    from .errors import (
        DataError as DataError,
        DownloadError as DownloadError,
        MissingExtraError as MissingExtraError,
        ModelFileError as ModelFileError,
        OutputError as OutputError,
        PictureError as PictureError,
        ServiceError as ServiceError,
        SettingsError as SettingsError,
        TinysightError as TinysightError,
    )
    from .evaluation import Evaluation as Evaluation, evaluate as evaluate
    from .html_page import ExportedPage as ExportedPage, export_page as export_page
    from .onnx_file import ModelMetadata as ModelMetadata
    from .prediction import predict_files as predict_files
    from .preprocessing.framing import Framing as Framing
    from .run_folder import save_run as save_run
    from .study.results import StudyResult as StudyResult
    from .study.run import run_study as run_study
    from .study.settings import StudySettings as StudySettings
    from .training.networks import functional as functional, sequential as sequential
    from .training.progress import EpochResult as EpochResult
    from .training.settings import ResolvedSettings as ResolvedSettings, TrainingSettings as TrainingSettings
    from .training.train import Training as Training, train as train

__version__ = "0.1.0"

# The same names by module; the imports above are for type checkers.
_MODULES = {
    "checks.run": ("Check", "check_images"),
    "classifier": ("Classifier", "Prediction"),
    "comparison": ("Comparison", "compare"),
    "cross_validation": ("CrossValidation", "cross_validate"),
    "data.dataset": ("ImageSet",),
    "data.loading": ("load_images",),
    "data.splits": ("split_images",),
    "errors": (
        "DataError",
        "DownloadError",
        "MissingExtraError",
        "ModelFileError",
        "OutputError",
        "PictureError",
        "ServiceError",
        "SettingsError",
        "TinysightError",
    ),
    "evaluation": ("Evaluation", "evaluate"),
    "html_page": ("ExportedPage", "export_page"),
    "onnx_file": ("ModelMetadata",),
    "prediction": ("predict_files",),
    "preprocessing.framing": ("Framing",),
    "run_folder": ("save_run",),
    "study.results": ("StudyResult",),
    "study.run": ("run_study",),
    "study.settings": ("StudySettings",),
    "training.networks": ("functional", "sequential"),
    "training.settings": ("ResolvedSettings", "TrainingSettings"),
    "training.progress": ("EpochResult",),
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
