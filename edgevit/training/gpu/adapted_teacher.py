"""A teacher that was trained on a set before it teaches that set.

EfficientNet-Lite0 knows sharp photographs; of the enlarged 64 pixels of Tiny-ImageNet it makes out
little more than half. Some epochs on such pictures, of its two hundred classes alone, change that.
Its BatchNorm stays folded: biases and weights learn as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from edgevit.training.gpu.epochs import Epochs, Task
from edgevit.training.gpu.folded_teacher import FoldedNetwork
from edgevit.training.gpu.shards import Pictures
from edgevit.training.recipe import Recipe

SIZE_PX = 128  # of what it sees then
RECIPE = Recipe(
    epochs=5,
    batch=256,
    learning_rate=3e-4,
    final_learning_rate=1e-6,
    warmup_epochs=0.5,
    weight_decay=0.0,
    crop_area=(0.35, 1.0),
    random_ops=1,
    random_strength=0.2,
    erase=0.0,
    mix=0.25,
    clean_epochs=1,
)


def adapted(
    teacher: FoldedNetwork,
    pictures: Pictures,
    recipe: Recipe,
    device: str,
    say: Callable[[str], None],
) -> FoldedNetwork:
    """The teacher for the classes of the pictures, enlarged or shrunk to SIZE_PX; averaged weights.

    Raises:
        InputError: it does not know some of the classes.
    """
    content = teacher.content()
    columns = teacher.columns(pictures.classes, "cpu")
    content["head"] = {key: value[columns] for key, value in content["head"].items()}
    content["facts"] = {**content["facts"], "size_px": SIZE_PX, "classes": list(pictures.classes)}
    student = FoldedNetwork(content["layers"], content["head"], content["facts"])
    student.requires_grad_(True)

    def objective(seen: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(student(seen).float(), targets)

    epochs = Epochs(Task("the teacher", student, pictures, SIZE_PX, objective), recipe, device)
    for epoch in range(recipe.epochs):
        loss = epochs.train(recipe, epoch)
        say(f"teacher  epoch {epoch + 1}/{recipe.epochs}  loss {loss:.3f}")
    result: nn.Module = epochs.average.module
    assert isinstance(result, FoldedNetwork)
    return result.requires_grad_(False)
