"""The life of an import: created, acquired, taken over, finished; its workers and its notices."""
