"""Tells which versions of packages are installed: a training's result depends on them."""

from importlib.metadata import PackageNotFoundError, version

from .. import __version__

DECISIVE = ("tinysight", "tensorflow", "keras", "numpy")  # for the weights


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the version of each package, by its name."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return __version__ if package == "tinysight" else version(package)
    except PackageNotFoundError:  # installed under another name, as tensorflow-cpu is
        return "unknown"
