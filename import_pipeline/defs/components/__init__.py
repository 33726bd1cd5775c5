"""Dagster components: sources as YAML in a Dagster project."""
