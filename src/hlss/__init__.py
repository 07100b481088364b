"""hlss: hierarchical, language-tied self-supervised learning on histopathology.

Importing this package is free: no network, no device, no logger, no optional dependency until something is called.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("hlss")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
