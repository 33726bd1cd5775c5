"""Access tokens by OAuth 2: requested by one process, stored encrypted, shared by all."""
