"""Call what the user wrote: the hooks of a source, its httpx.Auth, its secrets; each failure names its place."""
