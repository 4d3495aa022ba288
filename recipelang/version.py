"""The version of this release, and those of installed packages. Imports nothing before it is asked."""

from functools import cache

__version__ = "0.1.0"


@cache
def installed(package: str) -> str:
    """The version of a package, which does not change while it is in use: its metadata are read once."""
    from importlib.metadata import version

    return version(package)
