"""Actions on imports from outside: schedule, request, cancel, retry, finalize, prune, supervise shards."""
