"""Tells which versions of packages are installed: a training's result depends on them."""

from importlib.metadata import PackageNotFoundError, version

DECISIVE = ("tinysight", "tensorflow", "keras", "numpy")  # for the weights


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the version of each package, by its name; ``unknown`` of one that has another name, as tensorflow-cpu."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
