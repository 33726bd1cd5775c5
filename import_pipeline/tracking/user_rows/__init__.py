"""The user's own tables: checked, read, written row by row, never altered."""
