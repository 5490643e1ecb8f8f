"""Statistical methods, one file each."""
