"""Times: how a column writes them, which zone they are in, and the grid that they lie on.

A time format is inferred, parsed and formatted by these files, in the order in which one uses the next:

- `spec`: `TimeFormat`, what is stored of a time column, and `TimeSettings`, how it is to be read
- `cells`: the different cells of a time column as text, with their places for errors
- `patterns`: strftime-like patterns: all that a text fits, texts to times, times to texts
- `number_formats`: epoch numbers, yyyymmdd, day numbers of spreadsheets, decimal years, steps
- `inference`: which pattern fits the whole column, and whether a column holds times at all
- `split_columns`: times in several columns, such as year and month, or date and hour
- `parsing`: a time column to instants, with zones and clock changes
- `formatting`: instants back to the column

Instants are seconds since 1970-01-01, of UTC where there is a zone. `frequency` infers the grid on which they lie, and
`calendar` counts them as its positions.
"""
