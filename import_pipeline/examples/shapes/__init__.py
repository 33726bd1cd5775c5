"""A source for each of eight other styles of API; docs/adding-a-source.md explains them. Copy one, and adapt it."""
