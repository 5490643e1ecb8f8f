"""Read and write tables: CSV, JSON, Parquet and workbooks, with numbers in any notation."""
