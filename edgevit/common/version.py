"""The version of edgevit, for whoever stands below the package's public face."""

__version__ = "0.1.0"
