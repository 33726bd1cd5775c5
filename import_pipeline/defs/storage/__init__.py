"""Dagster's own state: its storage classes, its schema on Postgres, batches of events on SQLite."""
