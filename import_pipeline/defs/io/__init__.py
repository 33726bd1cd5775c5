"""Rows of imported tables as parameters of downstream assets."""
