"""Bring a table that was read to the form that the rest of the house expects."""

from forecast.panel.numbering import settle_numbering
from forecast.panel.unfolding import unfold
from forecast.tables.table import Table


def tidied(table: Table) -> Table:
    """The table with its row numbers settled, and a row for each month or quarter; a tidy table comes back as it is.

    Raises
    ------
    BadData
        If the first column needs a name, or the months of a table of years by months do not begin with January.
    """
    return unfold(settle_numbering(table))
