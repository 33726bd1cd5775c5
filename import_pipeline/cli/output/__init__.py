"""What the commands print: formatted values, tables, JSON, standard output that may be closed."""
