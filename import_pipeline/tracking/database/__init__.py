"""The database behind the tracking tables: engine, transactions, errors, locks, health."""
