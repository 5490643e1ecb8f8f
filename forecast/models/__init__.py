"""The networks by name: a file each in this folder, and plugins; nothing here imports torch."""

from typing import TYPE_CHECKING

from forecast.registry import find_entry, names

if TYPE_CHECKING:
    from forecast.models.shared.model import RecurrentModel


def model_names() -> list[str]:
    return sorted(names("models"))


def model_class(name: str) -> "type[RecurrentModel]":
    """The model's network class; imports torch."""
    network: type[RecurrentModel] = find_entry("models", name).load()
    return network
