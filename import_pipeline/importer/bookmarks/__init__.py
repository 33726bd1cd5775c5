"""Bookmarks of incremental sources: read at the start of an import, moved at its end, set by a person."""
