"""Helpers of tests: servers, sources, clocks, clients and models."""
