"""The user's own tables: checked, read, written row by row. Only `migrate --add-columns` alters them."""
