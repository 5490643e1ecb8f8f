"""Find stores near a path without one, so that the error can name them."""

import os
from itertools import chain, islice
from pathlib import Path

POINTER = "CURRENT"
MAX_FOLDERS, NAMED = 2_000, 5  # that are looked through, and stores that are named


def stores_nearby(path: Path) -> str:
    """The stores near `path`, as the end of a message; an empty text where there are none."""
    folder = path.parent if path.parent.is_dir() else Path()
    try:
        places = list(islice(chain(folder.glob("[!.]*/"), folder.glob("[!.]*/[!.]*/")), MAX_FOLDERS))
    except OSError:
        places = []
    stores = [os.path.normpath(place) for place in places if (place / POINTER).is_file()]
    stores.sort(key=lambda store: (store.count(os.sep), store))  # nearer ones first
    more = ", ..." if len(stores) > NAMED else ""
    return f"; stores nearby: {', '.join(stores[:NAMED])}{more}" if stores else ""
