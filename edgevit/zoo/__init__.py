"""The models by name: specifications, registry, shipped weights. Importable without torch."""

from pathlib import Path

ZOO = Path(__file__).parent
DEFAULT_MODEL = "lla_tiny"
PREBUILT_BUNDLE = ZOO / f"{DEFAULT_MODEL}.edgevit"
