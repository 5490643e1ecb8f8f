"""Read Parquet, a file or a folder, and other Arrow columns into a frame whose columns keep their types."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.errors import BadData, NoInput
from forecast.tables.contents import readable
from forecast.tables.headers import listed
from forecast.tables.memory import require_memory
from forecast.tables.storage import Place

PARQUET, PROBLEM = b"PAR1", "cannot be read as Parquet: {}"
SUFFIXES = (".parquet", ".pq")
CELL, MEMORY_FACTOR = 8, 3  # bytes of a number; Arrow, frame, columns
OPENED_AT_ONCE = 16  # files of a folder
WHOLE = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
NULLABLE: dict[str, Any] = {name.lower(): pd.api.types.pandas_dtype(name) for name in WHOLE}
NULLABLE["bool"] = pd.BooleanDtype()


def text_type() -> Any:
    """The type of text with NaN for missing: str of pandas 3, pyarrow_numpy of pandas 2.2."""
    string: Any = pd.StringDtype
    try:
        return string("pyarrow", na_value=np.nan)
    except TypeError:
        return string("pyarrow_numpy")


def parquet_frame(data: bytes, name: str) -> pd.DataFrame:
    """Read the bytes of a Parquet file; messages call it `name`."""
    import pyarrow.parquet

    with readable(name, PROBLEM):
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
        require_memory(_size_in_memory([file.metadata]), name)
        return arrow_frame(file.read())


def parquet_folder_frame(folder: str, name: str) -> pd.DataFrame:
    """Read the Parquet files below a folder as one frame; folders called ``key=value`` become columns of text."""
    place = Place.of(folder)
    with readable(name, PROBLEM):
        files = parquet_files(place)
        if not files:
            raise NoInput(f"{folder} is a folder without Parquet files; give a file, or a folder that holds some")
        with place.unchanged(place.pins(files)):
            data = parquet_dataset(place, files, name)
            require_memory(_size_in_memory([part.metadata for part in data.get_fragments()]), name)
            return arrow_frame(data.to_table())


def parquet_files(place: Place) -> list[str]:
    """The paths of the Parquet files of a place, in their order."""
    paths = [file.path for file in place.files()]
    return [path for path in paths if path.lower().endswith(SUFFIXES) or place.beginning(path, 4) == PARQUET]


def parquet_dataset(place: Place, files: list[str], name: str) -> Any:
    """Parquet files of a place as one data set of pyarrow; folders called ``key=value`` become columns of text."""
    import pyarrow.dataset

    keys = [[part.split("=")[0] for part in path[len(place.path) :].split("/")[:-1] if "=" in part] for path in files]
    form = pyarrow.dataset.ParquetFileFormat()
    with ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
        schemas = list(pool.map(lambda path: form.inspect(path, place.system), files))
    first = files[0].rpartition("/")[2]
    for path, parts, schema in zip(files, keys, schemas, strict=True):
        if sorted(schema.names) != sorted(schemas[0].names) or parts != keys[0]:
            odd = sorted(set(schema.names) ^ set(schemas[0].names)) or parts
            differ = f"{path.rpartition('/')[2]} and {first} differ in columns {listed(odd)}"
            raise BadData(f"{name}: {differ}; give one table")
    # text, so that an id 007 in a folder's name keeps its zeros
    hive = pyarrow.dataset.HivePartitioning(pa.schema([(key, pa.string()) for key in keys[0]]))
    whole = pa.unify_schemas([*schemas, hive.schema], promote_options="permissive")
    folders = {"partitioning": hive, "partition_base_dir": place.path} if keys[0] else {}
    return pyarrow.dataset.dataset(files, whole, form, place.system, **folders)


def _size_in_memory(metadata: list[Any]) -> int:
    """Bytes at the peak of reading files with these metadata, however well they are compressed."""
    cells = sum(part.num_rows * part.num_columns for part in metadata)
    stored = sum(part.row_group(i).total_byte_size for part in metadata for i in range(part.num_row_groups))
    return MEMORY_FACTOR * max(int(cells) * CELL, int(stored))


def arrow_frame(columns: Any) -> pd.DataFrame:
    """Turn columns in Arrow's memory into a frame that keeps their types, with gaps too."""
    # text, whole numbers and booleans with gaps would become objects and floats otherwise
    kinds: dict[Any, Any] = dict.fromkeys([pa.string(), pa.large_string(), pa.string_view()], text_type())
    for field, column in zip(columns.schema, columns.columns, strict=True):
        if column.null_count and str(field.type) in NULLABLE:
            kinds[field.type] = NULLABLE[str(field.type)]
    frame: pd.DataFrame = columns.to_pandas(types_mapper=kinds.get, date_as_object=False)
    return frame
