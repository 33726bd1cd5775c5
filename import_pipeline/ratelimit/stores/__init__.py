"""The stores of permits: Redis or Valkey for many hosts, SQLite for one, memory for tests."""
