"""Tokens that all processes of a rate-limit store share: one obtains a token under a lock, the others read it."""
