"""Describe how a schema reads a table differently from an earlier one."""

from typing import Any

from forecast.panel.schema import Schema

NAMED = 5  # columns that a message names
SHOWN = {
    "calendar": "freq",
    "ids": "id",
    "all_columns": "all columns",
    "ignored": "left out",
    "dated_events": "events",
}
"""Names that users know."""


def schema_differences(before: Schema, now: Schema) -> list[str]:
    """What differs, field by field: ``season 4, was 12``."""
    differences = []
    for field in Schema.model_fields:
        old, new = getattr(before, field), getattr(now, field)
        if old == new:
            continue
        if field == "dated_events":
            old, new = (tuple(sorted({event.name for event in events})) for events in (old, new))
            if old == new:
                continue
        name = SHOWN.get(field, field.replace("_", " "))
        if field == "calendar":
            # the same step may start on another grid
            same = old.name == new.name
            differences.append(
                f"{name} {new.name}, but on another grid" if same else f"{name} {new.name}, was {old.name}"
            )
        elif field in ("time_format", "reading"):
            differences.append(f"{name} {_parts(new.model_dump(), old.model_dump())}")
        elif field == "categories":
            differences.append(f"categories of {_some(sorted(k for k in {**old, **new} if old.get(k) != new.get(k)))}")
        elif isinstance(old, tuple) and len(old) + len(new) > NAMED:
            differences.append(f"{name} {_changed(old, new)}")
        else:
            differences.append(f"{name} {_text(new)}, was {_text(old)}")
    return differences


def _parts(new: dict[str, Any], old: dict[str, Any]) -> str:
    """The parts of a format that differ."""
    return ", ".join(f"{name} {_text(new[name])}, was {_text(old[name])}" for name in new if new[name] != old[name])


def _changed(old: tuple[Any, ...], new: tuple[Any, ...]) -> str:
    """The names of a long list that came and went."""
    came, went = [name for name in new if name not in old], [name for name in old if name not in new]
    parts = [f"{word} {_some(names)}" for word, names in (("with", came), ("without", went)) if names]
    return " and ".join(parts) or "in another order"


def _some(names: list[Any]) -> str:
    return ", ".join(map(str, names[:NAMED])) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")) or "none"
