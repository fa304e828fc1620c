"""Starting from weights of another image size or other classes: fine-tuning."""

from __future__ import annotations

from torch import Tensor

from edgevit.common.errors import CheckpointError, some_of
from edgevit.common.progress import Progress
from edgevit.models.checkpoint import Checkpoint, refuse_infinite, weights_of
from edgevit.models.classifier import ZooModule
from edgevit.models.foreign.positions import is_position, resampled
from edgevit.models.foreign.vit_weights import translated


def start_from(module: ZooModule, checkpoint: Checkpoint, source: str, progress: Progress) -> None:
    """Takes over every weight that fits; says which keep their random start.

    Learned positions of another image size are resampled (bicubic), and where a larger model can
    answer as a smaller one did, it does (:meth:`ZooModule.grown`). A head for other classes, and
    a LaViT's maps over another number of tokens, start anew. A model on a backbone also starts from
    a classifier's weights (:meth:`ZooModule.source_key`).

    Names of timm and transformers are known (:mod:`.foreign`).

    Raises:
        CheckpointError: too little fits: these are another model's weights; or they have a
            distillation token, which training has no loss for.
    """
    fitting, checkpoint = translated(module.spec, checkpoint, source)
    if fitting != module.spec:
        raise CheckpointError(
            f"{source} has a distillation token, and training has no loss for a second token. "
            "Start from a model without one, such as deit_tiny_patch16_224; 'edgevit export' "
            "takes this one as it is."
        )
    own = module.state_dict()
    taken: dict[str, Tensor] = {}
    for key, wanted in weights_of(own).items():
        given = checkpoint.tensors.get(key)
        if given is None:
            given = checkpoint.tensors.get(module.source_key(key))
        if given is not None and is_position(key):
            given = resampled(given.float(), wanted.shape)
        if given is not None:
            given = module.grown(key, given)
        if given is not None and given.shape == wanted.shape:
            taken[key] = given.to(wanted.dtype)
    fresh = sorted(set(weights_of(own)) - set(taken))
    refuse_infinite(taken, source)
    if _size(taken) < module.least_share * _size(own):
        raise CheckpointError(
            f"{source} does not fit {module.spec.name}: of {len(own)} weights only {len(taken)} "
            "have the same name and shape. Give weights of the same model."
        )
    module.load_state_dict({**own, **taken})
    progress.line(
        f"start from {source}" + (f"; newly initialised: {some_of(fresh)}" if fresh else "")
    )


def _size(state: dict[str, Tensor]) -> int:
    """Numbers in a state, without the head, which is as large as there are classes."""
    return sum(tensor.numel() for key, tensor in state.items() if not key.startswith("head."))
