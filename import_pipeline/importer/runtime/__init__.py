"""Shared by the phases of one import while it runs: its context, its API client, its circuit, its stop signal."""
