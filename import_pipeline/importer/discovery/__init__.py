"""Phase one: read the list page by page and store stubs, item rows and a checkpoint."""
