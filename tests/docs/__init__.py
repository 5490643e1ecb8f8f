"""The commands and examples of the documentation are run."""
