"""Rules that read an HTTP response: its status, headers and body. No I/O."""
