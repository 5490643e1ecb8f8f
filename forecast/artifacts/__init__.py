"""Fitted forecasters on disk: the store of versions, and the format of one version."""
