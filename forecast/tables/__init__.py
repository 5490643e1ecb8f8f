"""Bytes to columns and back: CSV, Parquet, workbooks, the notation of numbers, blanks."""
