"""The statistical methods: a file each in this folder, found by name."""
