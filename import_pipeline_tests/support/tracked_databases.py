"""Databases with the tracking tables and no rows, lent again and again: tables cost more than a test."""

from contextlib import closing

import psycopg2

from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import VERSION_TABLE, upgrade
from import_pipeline.tracking.tables import tracking_metadata
from import_pipeline_tests.support.database_servers import END_OTHERS, PostgresServer

#: Drop the user's tables, and delete all rows; a table that has grown gets a new file.
EMPTY = """
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    IF NOT name = ANY(string_to_array('{tables}', ' ')) THEN
      EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', name);
    ELSIF pg_relation_size(format('%I', name)::regclass) > 65536 THEN
      EXECUTE format('TRUNCATE %I CASCADE', name);
    END IF;
  END LOOP;
END $$;
{deletions};
SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S';
"""

#: Everything that a test may have changed but rows: schemas, tables, columns, indexes, triggers, types, functions.
STRUCTURE = """
SELECT md5(coalesce(string_agg(line, ';' ORDER BY line COLLATE "C"), '')) FROM (
  SELECT concat_ws(' ', nspname, nspacl) AS line FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
  UNION ALL
  SELECT concat_ws(' ', relname, relkind, relhastriggers, relrowsecurity, relchecks, reloptions, relacl, relowner)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, atttypmod, attnotnull, atthasdef, attcollation)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
   WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0
  UNION ALL
  SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
   WHERE relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', conrelid::regclass, conname, contype) FROM pg_constraint
   WHERE connamespace = 'public'::regnamespace
  UNION ALL
  SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
  UNION ALL
  SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT 'version ' || version_num FROM {version}
) AS structure
"""


class TrackedDatabases:
    """Lends databases of a Postgres server with the tracking tables and no rows."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._spare: list[str] = []
        self._structure: str | None = None
        tables = tracking_metadata.sorted_tables
        self._empty = EMPTY.format(
            tables=" ".join([VERSION_TABLE, *(table.name for table in tables)]),
            deletions=";".join(f"DELETE FROM {table.name}" for table in reversed(tables)),
        )

    def take(self) -> str:
        """Return the address of such a database."""
        if self._spare:
            return self._spare.pop()
        url = self._server.create_database()
        with closing(Database(url)) as database:
            upgrade(database)
        if self._structure is None:
            self._structure = self._emptied(url)
        return url

    def give_back(self, url: str) -> None:
        """Keep the database for the next test, unless something other than rows has changed."""
        try:
            is_as_before = self._server.is_running and self._emptied(url) == self._structure
        except psycopg2.Error:
            is_as_before = False  # it is gone, lets no client in, or lacks a table
        if is_as_before:
            self._spare.append(url)
        else:
            self._server.drop_database(url)

    def _emptied(self, url: str) -> str:
        """Empty the database; return what describes its structure."""
        with (
            closing(self._server.connect(url.rpartition("/")[2])) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            if not self._server.is_plain(cursor):
                return "not plain"
            cursor.execute(END_OTHERS + self._empty)
            cursor.execute(STRUCTURE.format(version=VERSION_TABLE))
            [structure] = cursor.fetchone()
            return str(structure)
