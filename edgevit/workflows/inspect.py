"""What is in a bundle."""

from __future__ import annotations

from edgevit.bundle.bundle import Bundle
from edgevit.common.libraries import require_modules
from edgevit.results.bundle_summary import BundleSummary


def inspect(bundle: Bundle, *, layers: bool = False) -> BundleSummary:
    """Variants, sizes, precision, calibration, parity and accuracy, as the manifest tells them.

    Args:
        layers: read the precision of every layer from the ONNX files too.

    Raises:
        MissingExtraError: onnx is not installed, and ``layers`` were asked for.
    """
    return BundleSummary(bundle, _precisions(bundle) if layers else {})


def _precisions(bundle: Bundle) -> dict[str, dict[str, str]]:
    require_modules("edgevit inspect --layers", "export", ("onnx",))
    from edgevit_export.quantize.precision import layer_precisions

    files = {name: bundle.variant(name) for name in bundle.manifest.variants}
    return {name: layer_precisions(file) for name, file in files.items() if file.suffix == ".onnx"}
