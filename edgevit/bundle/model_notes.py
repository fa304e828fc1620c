"""What has to be said beside the answers of a bundle's model."""

from __future__ import annotations

from edgevit.bundle.bundle import Bundle

_NAMED_CLASSES = 6


def untrained_note(bundle: Bundle) -> str | None:
    """What every result says of a model that learned nothing."""
    model = bundle.manifest.model
    return None if model.trained else f"{model.name} is {model.weights}: its answers mean nothing"


def knowledge(bundle: Bundle) -> str:
    """Which classes a model knows: whatever a picture shows, it answers one of them."""
    classes = bundle.manifest.classes
    more = ", ..." if len(classes) > _NAMED_CLASSES else ""
    named = ", ".join(classes[i] for i in _spread(len(classes)))
    return f"{bundle.manifest.model.name} knows {len(classes)} things: {named}{more}"


def _spread(count: int) -> list[int]:
    """Places of a few classes, from all of the list: neighbours are often alike."""
    few = min(count, _NAMED_CLASSES)
    return [place * count // few for place in range(few)]
