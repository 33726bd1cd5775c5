"""The number of an import is given once on SQLite, too, whatever is deleted; Postgres has done so all along."""

import re
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: The key as the first revision made it, and as AUTOINCREMENT wants it.
PLAIN, COUNTED = "id INTEGER NOT NULL", "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"
KEY = "CONSTRAINT pk_imports PRIMARY KEY (id)"
#: Every number of an import that is written down anywhere: that of a deleted one is not given again either.
NUMBERS = (
    "SELECT id FROM imports UNION ALL SELECT retry_of FROM imports UNION ALL SELECT last_import_id FROM source_items "
    "UNION ALL SELECT import_id FROM import_requests UNION ALL SELECT result_import_id FROM import_requests"
)


def upgrade() -> None:
    """Make the table anew, with AUTOINCREMENT."""
    if op.get_bind().dialect.name != "sqlite":
        return
    _remake(lambda sql: re.sub(r",\s*" + re.escape(KEY), "", sql.replace(PLAIN, COUNTED, 1)))
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'imports'")
    op.execute(f"INSERT INTO sqlite_sequence (name, seq) SELECT 'imports', coalesce(max(id), 0) FROM ({NUMBERS})")  # noqa: S608


def downgrade() -> None:
    """Make it anew, without."""
    if op.get_bind().dialect.name == "sqlite":
        unique = "CONSTRAINT uq_imports"
        _remake(lambda sql: sql.replace(COUNTED, PLAIN, 1).replace(unique, f"{KEY}, {unique}", 1))


def _remake(changed: Callable[[str], str]) -> None:
    """SQLite changes a key by another table in its place: https://sqlite.org/lang_altertable.html, "twelve steps".

    Foreign keys are off meanwhile (see `Database.migrate`): else the old table's end would take the items along.
    """
    connection = op.get_bind()
    found = "SELECT sql FROM sqlite_master WHERE tbl_name = 'imports' AND type = :type AND sql IS NOT NULL"
    table = connection.scalars(sa.text(found), {"type": "table"}).one()
    indexes = connection.scalars(sa.text(found), {"type": "index"}).all()
    made = re.sub(r"^CREATE TABLE [\"']?imports[\"']?", "CREATE TABLE imports_anew", changed(table))
    for statement in (
        made,
        "INSERT INTO imports_anew SELECT * FROM imports",
        "DROP TABLE imports",
        "ALTER TABLE imports_anew RENAME TO imports",
        *indexes,
    ):
        connection.exec_driver_sql(statement)
