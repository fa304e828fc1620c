"""What other libraries call the weights of a plain ViT: timm (and DeiT), and transformers.

timm writes ``blocks.0.attn.qkv.weight``, transformers ``vit.encoder.layer.0.attention.attention
.query.weight`` on disk and, from version 5 on, ``vit.layers.0.attention.q_proj.weight`` in memory.
What is called ``query``, ``key``, ``value``, ``distillation`` and ``scale_*`` here is merged later
(:mod:`.vit_weights`); every other name is the zoo's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ROLES = {"q": "query", "k": "key", "v": "value"}


@dataclass(frozen=True)
class NamedBy:
    """One library's names. rules: patterns of whole names, without ``.weight`` and ``.bias``."""

    library: str
    rules: tuple[tuple[str, str], ...]
    unused: tuple[str, ...] = ()

    def ours(self, key: str) -> str | None:
        """The zoo's name; None for a name that no rule knows."""
        stem, dot, kind = key.rpartition(".")
        stem, ending = (stem, dot + kind) if kind in ("weight", "bias") else (key, "")
        for pattern, name in self.rules:
            if found := re.fullmatch(pattern, stem):
                return found.expand(name) + ending
        return None

    def is_unused(self, key: str) -> bool:
        """Whether no answer depends on it."""
        return any(re.match(pattern, key) for pattern in self.unused)


_TIMM = NamedBy(
    "timm",
    (
        (r"cls_token", "cls"),
        (r"dist_token", "distillation"),
        (r"pos_embed", "position"),
        (r"patch_embed\.proj", "embed.linear"),
        (r"blocks\.(\d+)\.norm1", r"blocks.\1.norm_attention"),
        (r"blocks\.(\d+)\.attn\.qkv", r"blocks.\1.query_key_value"),
        (r"blocks\.(\d+)\.attn\.q(?:_proj)?", r"blocks.\1.query"),
        (r"blocks\.(\d+)\.attn\.k(?:_proj)?", r"blocks.\1.key"),
        (r"blocks\.(\d+)\.attn\.v(?:_proj)?", r"blocks.\1.value"),
        (r"blocks\.(\d+)\.attn\.proj", r"blocks.\1.output"),
        (r"blocks\.(\d+)\.(?:ls1\.gamma|gamma_1)", r"blocks.\1.scale_attention"),
        (r"blocks\.(\d+)\.norm2", r"blocks.\1.norm_mlp"),
        (r"blocks\.(\d+)\.mlp\.fc1", r"blocks.\1.mlp.0"),
        (r"blocks\.(\d+)\.mlp\.fc2", r"blocks.\1.mlp.2"),
        (r"blocks\.(\d+)\.(?:ls2\.gamma|gamma_2)", r"blocks.\1.scale_mlp"),
        (r"norm", "norm"),
        (r"head", "head"),
        (r"head_dist", "head_distillation"),
    ),
)
_LAYER = r"(?:vit\.|deit\.)?(?:encoder\.layer|layers)\.(\d+)\."
_ROOT = r"(?:vit\.|deit\.)?"
_TRANSFORMERS = NamedBy(
    "transformers",
    (
        (_ROOT + r"embeddings\.cls_token", "cls"),
        (_ROOT + r"embeddings\.distillation_token", "distillation"),
        (_ROOT + r"embeddings\.position_embeddings", "position"),
        (_ROOT + r"embeddings\.patch_embeddings\.projection", "embed.linear"),
        (_LAYER + r"layernorm_before", r"blocks.\1.norm_attention"),
        (_LAYER + r"attention\.attention\.(query|key|value)", r"blocks.\1.\2"),
        *(
            (_LAYER + rf"attention\.{letter}_proj", rf"blocks.\1.{role}")
            for letter, role in _ROLES.items()
        ),
        (_LAYER + r"attention\.(?:output\.dense|o_proj)", r"blocks.\1.output"),
        (_LAYER + r"layernorm_after", r"blocks.\1.norm_mlp"),
        (_LAYER + r"(?:intermediate\.dense|mlp\.fc1)", r"blocks.\1.mlp.0"),
        (_LAYER + r"(?:output\.dense|mlp\.fc2)", r"blocks.\1.mlp.2"),
        (_ROOT + r"layernorm", "norm"),
        (r"(?:cls_)?classifier", "head"),
        (r"distillation_classifier", "head_distillation"),
    ),
    unused=(_ROOT + r"pooler\.", _ROOT + r"embeddings\.mask_token$"),
)
# A name by which each library's state dict is known.
_KNOWN_BY = (
    (_TIMM, r"patch_embed\.proj\.weight"),
    (_TRANSFORMERS, _ROOT + r"embeddings\.patch_embeddings\.projection\.weight"),
)

# Names of what a plain ViT does not have, and what they are.
_ELSEWHERE = (
    (r"(?:^|\.)fc_norm\.", "averages the patches' tokens before its head (global pooling)"),
    (r"(?:^|\.)attn_pool\.", "pools its tokens by attention"),
    (r"(?:^|\.)reg(?:ister)?_tokens?$", "has register tokens"),
    (r"\.(?:q_norm|k_norm)\.", "normalises queries and keys"),
    (r"(?:^|\.)norm_pre\.", "normalises its tokens before the blocks, as CLIP does"),
    (r"(?:^|\.)pre_logits\.", "has a hidden layer before its head"),
    (r"rope|relative_position", "has rotary or relative positions"),
    (r"\.(?:q_bias|v_bias)$", "is a BEiT, whose keys have no bias"),
    (r"\.mlp\.(?:w12|w3|fc1_g)\.", "has gated MLPs (SwiGLU)"),
    (r"(?:^|\.)decoder", "is a masked autoencoder"),
    (r"(?:^|\.)patch_embed\.backbone\.", "is a hybrid with a convolutional stem"),
)


def naming_of(keys: Iterable[str]) -> NamedBy | None:
    """Whose names they are; None for nobody's, such as the zoo's own."""
    named = list(keys)
    for naming, pattern in _KNOWN_BY:
        if any(re.fullmatch(pattern, key) for key in named):
            return naming
    return None


def peculiarity(keys: Iterable[str]) -> str | None:
    """What a network with such weights does that a plain ViT does not; None: not known."""
    named = list(keys)
    for pattern, what in _ELSEWHERE:
        if any(re.search(pattern, key) for key in named):
            return what
    return None
