"""What is in a bundle."""

from __future__ import annotations

from edgevit.bundle.bundle import Bundle
from edgevit.common.libraries import require_modules
from edgevit.common.progress import SilentProgress
from edgevit.results.bundle_summary import BundleSummary
from edgevit.workflows.trial.trial_opening import try_untrusted


def inspect(bundle: Bundle, *, layers: bool = False) -> BundleSummary:
    """Variants, sizes, precision, calibration, parity and accuracy, as the manifest tells them.

    Args:
        layers: read the precision of every layer from the ONNX files too.

    Raises:
        MissingExtraError: onnx is not installed, and ``layers`` were asked for.
        CheckFailedError: with ``layers``, a model of an untrusted bundle does not pass its trial.
    """
    return BundleSummary(bundle, _precisions(bundle) if layers else {})


def _precisions(bundle: Bundle) -> dict[str, dict[str, str]]:
    require_modules("edgevit inspect --layers", "export", ("onnx",))
    from edgevit_export.quantize.precision import layer_precisions

    try_untrusted(bundle, list(bundle.manifest.variants), SilentProgress())
    files = {name: bundle.variant(name) for name in bundle.manifest.variants}
    return {name: layer_precisions(file) for name, file in files.items() if file.suffix == ".onnx"}
