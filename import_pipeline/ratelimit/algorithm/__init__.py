"""The permit algorithm in pure Python; `stores/lua/` holds the same functions for Redis."""
