"""One sensor and one set of control jobs for many sources: three Dagster objects per source, and a cheap idle tick."""
