"""The part of the limiter that runs in each process: waiting tasks, and the one task that talks to the store."""
