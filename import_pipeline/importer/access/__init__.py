"""Access to an API: its origins, connections and credentials."""
