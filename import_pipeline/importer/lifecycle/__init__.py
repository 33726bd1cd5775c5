"""The life of an import: create, acquire, take over and finish it; its workers and its notices."""
