"""Tables of discovery: list pages, and what lists keep between imports."""
