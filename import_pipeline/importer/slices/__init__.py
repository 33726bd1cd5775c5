"""Phase one of an import with many lists: find the keys of its slices, and read their lists concurrently."""
