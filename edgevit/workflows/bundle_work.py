"""What can be done with a bundle, as methods: each calls the workflow of its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.storage.files import resolved
from edgevit.zoo import PREBUILT_BUNDLE

if TYPE_CHECKING:
    from edgevit.results.bench_result import BenchResult
    from edgevit.results.bundle_summary import BundleSummary
    from edgevit.workflows.compile import CompileResult, SelectionResult
    from edgevit.workflows.evaluate import AnyEvaluation
    from edgevit.workflows.profile import ProfileResult
    from edgevit.workflows.quantize import QuantizeResult
    from edgevit.workflows.remote.deploy import DeployResult
    from edgevit.workflows.verify import VerifyResult

PathLike = str | os.PathLike[str]


class BundleWork:
    """Something that has a bundle. After an edit, ``bundle`` is the edited one, opened anew.

    The methods take the options of the workflow as keywords; see its documentation.
    """

    bundle: Bundle

    def quantize(
        self, calibration: PathLike, evaluation: PathLike | None = None, **options: Any
    ) -> QuantizeResult:
        """Adds INT8 and FP16 variants; see :func:`edgevit.workflows.quantize.quantize`.

        Args:
            calibration, evaluation: folders of labelled pictures.
        """
        from edgevit.workflows.quantize import quantize

        labelled = None if evaluation is None else os.fspath(evaluation)
        result = quantize(self._editable(), os.fspath(calibration), labelled, **options)
        self._edited()
        return result

    def compile(self, target: str = "auto", **options: Any) -> CompileResult | SelectionResult:
        """Compiles for a runtime or a machine; see :mod:`edgevit.workflows.compile`."""
        from edgevit.workflows.compile import compile_bundle

        result = compile_bundle(self._editable(), target, **options)
        self._edited()
        return result

    def evaluate(self, data: PathLike, **options: Any) -> AnyEvaluation:
        """Accuracy on labelled pictures; see :func:`edgevit.workflows.evaluate.evaluate`."""
        from edgevit.workflows.evaluate import evaluate

        return evaluate(self.bundle, os.fspath(data), **options)

    def verify(self, **options: Any) -> VerifyResult:
        """Compares every variant with the float model; see :mod:`edgevit.workflows.verify`."""
        from edgevit.workflows.verify import verify

        return verify(self.bundle, **options)

    def profile(self, **options: Any) -> ProfileResult:
        """Times every layer; see :func:`edgevit.workflows.profile.profile`."""
        from edgevit.workflows.profile import profile

        return profile(self.bundle, **options)

    def bench(self, **options: Any) -> BenchResult:
        """Latency, memory and energy in fresh processes; see :mod:`edgevit.workflows.bench`."""
        from edgevit.workflows.bench import bench

        return bench(self.bundle, **options)

    def deploy(self, host: str | Sequence[str] = (), **options: Any) -> DeployResult:
        """Brings the bundle onto devices; see :func:`edgevit.workflows.remote.deploy.deploy`."""
        from edgevit.workflows.remote.deploy import deploy

        return deploy(self.bundle, host, **options)

    def inspect(self, *, layers: bool = False) -> BundleSummary:
        """What the bundle holds; see :func:`edgevit.workflows.inspect.inspect`."""
        from edgevit.workflows.inspect import inspect

        return inspect(self.bundle, layers=layers)

    def _editable(self) -> Bundle:
        """The bundle, if it is a person's own."""
        if resolved(self.bundle.path) == resolved(PREBUILT_BUNDLE):
            name = self.bundle.manifest.model.name
            raise InputError(
                f"{self.bundle.path} is the bundle that edgevit was installed with, which stays as "
                f'it is. Make one of your own: edgevit.export("{name}", "{name}.edgevit").'
            )
        return self.bundle

    def _edited(self) -> None:
        """Called when the files have changed."""
        self.bundle = Bundle.open(self.bundle.path)
