"""Hostile artifacts, all of them."""

from workshop.campaigns import _cases_of_files, _cases_of_graphs, _cases_of_texts, _cases_of_values
from workshop.campaigns._stores import Case


def all_cases() -> list[Case]:
    """Every case, by kind."""
    return [
        *_cases_of_files.cases(),
        *_cases_of_texts.cases(),
        *_cases_of_values.cases(),
        *_cases_of_graphs.cases(),
    ]
