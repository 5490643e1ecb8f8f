"""Describe how a schema reads a table differently from an earlier one."""

from typing import Any

from forecast.panel.schema import Schema, event_names

NAMED = 5  # columns that a message names
SHOWN = {"calendar": "freq", "ids": "id", "ignored": "left out", "dated_events": "events"}
"""Names that users know."""


def schema_differences(before: Schema, now: Schema) -> list[str]:
    """What differs, field by field: ``season 4, was 12``."""
    pairs = ((name, getattr(before, name), getattr(now, name)) for name in Schema.model_fields if name != "inferred")
    texts = ((field, _change(field, old, new)) for field, old, new in pairs if old != new)
    return [f"{SHOWN.get(field, field.replace('_', ' '))} {text}" for field, text in texts if text]


def _change(field: str, old: Any, new: Any) -> str:
    """How one field differs; nothing where only the days of its events do."""
    if field == "dated_events":
        old, new = map(event_names, (old, new))
        if old == new:
            return ""
    if field == "calendar":
        return f"{new.name}, but on another grid" if old.name == new.name else f"{new.name}, was {old.name}"
    if field in ("time_format", "reading"):
        parts = zip(old.model_dump().items(), new.model_dump().values(), strict=True)
        return ", ".join(f"{name} {_text(value)}, was {_text(was)}" for (name, was), value in parts if was != value)
    if field == "categories":
        return f"of {_some(sorted(name for name in {**old, **new} if old.get(name) != new.get(name)))}"
    if isinstance(old, tuple) and len(old) + len(new) > NAMED:
        pairs = (("with", [name for name in new if name not in old]), ("without", [n for n in old if n not in new]))
        return " and ".join(f"{word} {_some(names)}" for word, names in pairs if names) or "in another order"
    return f"{_text(new)}, was {_text(old)}"


def _some(names: list[Any]) -> str:
    return ", ".join(map(str, names[:NAMED])) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")) or "none"
