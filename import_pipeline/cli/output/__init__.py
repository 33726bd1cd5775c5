"""Output of the commands: formatted values, tables, JSON, and a standard output that may be closed."""
