"""The limiter as an httpx transport, and the bounded reading of responses."""
