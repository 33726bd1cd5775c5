"""Call the user's code: the hooks of a source, its httpx.Auth, its secrets. Each failure names file and line."""
