"""Read Parquet, a file or a folder, and other Arrow columns into a frame whose columns keep their types."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import BadData, NoInput
from forecast.tables.headers import listed
from forecast.tables.memory import require_memory
from forecast.tables.texts import pa, text_type

PARQUET = b"PAR1"
CELL, MEMORY_FACTOR = 8, 3  # bytes of a number; Arrow, frame, columns
NULLABLE: dict[str, Any] = {
    "bool": pd.BooleanDtype(),
    "int8": pd.Int8Dtype(),
    "int16": pd.Int16Dtype(),
    "int32": pd.Int32Dtype(),
    "int64": pd.Int64Dtype(),
    "uint8": pd.UInt8Dtype(),
    "uint16": pd.UInt16Dtype(),
    "uint32": pd.UInt32Dtype(),
    "uint64": pd.UInt64Dtype(),
}


def parquet_frame(data: bytes, name: str) -> pd.DataFrame:
    """Read the bytes of a Parquet file; messages call it `name`."""
    import pyarrow.parquet

    def whole() -> Any:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
        require_memory(_size_in_memory([file.metadata]), name)
        return file

    return _from_arrow(whole, name)


def parquet_folder_frame(folder: Path, name: str) -> pd.DataFrame:
    """Read the Parquet files below a folder as one frame; folders called ``key=value`` become columns of text."""
    import pyarrow.dataset

    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_parquet(path)]
    if not files:
        raise NoInput(f"{folder} is a folder without Parquet files; give a file, or a folder that holds some")
    metadata = [_metadata(path, name) for path in files]
    require_memory(_size_in_memory(metadata), name)
    schemas = [part.schema.to_arrow_schema() for part in metadata]
    keys = [[part.split("=")[0] for part in path.relative_to(folder).parts[:-1] if "=" in part] for path in files]
    for path, parts, schema in zip(files, keys, schemas, strict=True):
        if sorted(schema.names) != sorted(schemas[0].names) or parts != keys[0]:
            odd = sorted(set(schema.names) ^ set(schemas[0].names)) or parts
            raise BadData(f"{name}: {path.name} and {files[0].name} differ in columns {listed(odd)}; give one table")
    # text, so that an id 007 in a folder's name keeps its zeros
    hive = pyarrow.dataset.HivePartitioning(pa.schema([(key, pa.string()) for key in keys[0]]))

    def scan() -> Any:
        return pyarrow.dataset.dataset(
            [str(path) for path in files],
            schema=pa.unify_schemas([*schemas, hive.schema], promote_options="permissive"),
            format="parquet",
            partitioning=hive,
            partition_base_dir=str(folder),
        )

    return _from_arrow(scan, name)


def _metadata(path: Path, name: str) -> Any:
    """The metadata of a Parquet file."""
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{name}: {path.name} cannot be read as Parquet: {str(error).partition(chr(10))[0]}") from None


def _size_in_memory(metadata: list[Any]) -> int:
    """Bytes at the peak of reading files with these metadata, however well they are compressed."""
    cells = sum(part.num_rows * part.num_columns for part in metadata)
    stored = sum(part.row_group(i).total_byte_size for part in metadata for i in range(part.num_row_groups))
    return MEMORY_FACTOR * max(int(cells) * CELL, int(stored))


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def _from_arrow(open_source: Callable[[], Any], name: str) -> pd.DataFrame:
    with readable(name):
        source = open_source()
        columns = source.read() if hasattr(source, "read") else source.to_table()
        return arrow_frame(columns)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Refuse a table that libraries fail to read, and call it `name`."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        # the last three come from metadata that pandas wrote into the file
        raise BadData(f"{name} cannot be read as Parquet: {str(error).partition(chr(10))[0]}") from None


def arrow_frame(columns: Any) -> pd.DataFrame:
    """Turn columns in Arrow's memory into a frame that keeps their types, with gaps too."""
    frame: pd.DataFrame = columns.to_pandas(types_mapper=_sparing_types(columns).get, date_as_object=False)
    return frame


def _sparing_types(columns: Any) -> dict[Any, Any]:
    """Types for text, and for whole numbers and booleans with gaps, which would become floats and objects otherwise."""
    kinds: dict[Any, Any] = dict.fromkeys([pa.string(), pa.large_string()], text_type())
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if column.null_count and str(field.type) in NULLABLE:
            kinds[field.type] = NULLABLE[str(field.type)]
    return kinds
