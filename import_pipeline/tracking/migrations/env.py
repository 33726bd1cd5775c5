"""Alembic's entry: run on the connection, and inside the transaction, that `schema` hands over."""

from alembic import context

from import_pipeline.tracking.schema import VERSION_TABLE
from import_pipeline.tracking.tables import tracking_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tracking_metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
