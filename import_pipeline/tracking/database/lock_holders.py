"""Find the sessions on Postgres that hold the lock a statement waited for."""

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

#: Sessions named in a sentence.
MOST_NAMED = 3
# Sessions with a lock on a table that the statement names, which do not wait themselves; the strongest lock and the
# oldest transaction first. Their statements are left out: they may hold imported data.
_HOLDERS = text(
    """
    SELECT relation.relname AS name, activity.pid, activity.usename AS role, activity.application_name AS program,
           to_char(activity.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS') AS since, max(lock.mode) AS mode
    FROM pg_locks AS lock
    JOIN pg_class AS relation ON relation.oid = lock.relation AND relation.relkind IN ('r', 'p')
    JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
    WHERE lock.granted AND lock.locktype = 'relation' AND lock.pid <> pg_backend_pid()
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND lock.mode <> 'AccessShareLock'
      AND strpos(:statement, relation.relname) > 0
      AND NOT EXISTS (SELECT FROM pg_locks AS other WHERE other.pid = lock.pid AND NOT other.granted)
    GROUP BY relation.relname, activity.pid, activity.usename, activity.application_name, activity.xact_start
    ORDER BY bool_or(lock.mode IN ('AccessExclusiveLock', 'ExclusiveLock')) DESC, activity.xact_start
    LIMIT :most
    """
)


def holders(engine: Engine, statement: str | None) -> str | None:
    """Return `the table things is locked by session 71 of postgres (psql) since 10:04:02 UTC`, or None."""
    if not statement:
        return None
    try:
        with engine.connect() as connection:
            rows = connection.execute(_HOLDERS, {"statement": statement, "most": MOST_NAMED}).all()
    except SQLAlchemyError:
        return None  # the sentence is complete without it
    if not rows:
        return None
    names = sorted({row.name for row in rows})
    sessions = [_session(row.pid, row.role, row.program, row.since) for row in rows]
    which = f"the table {names[0]} is" if len(names) == 1 else f"the tables {', '.join(names)} are"
    return f"{which} locked by {', '.join(dict.fromkeys(sessions))}"


def _session(pid: int, role: str | None, program: str | None, since: str | None) -> str:
    by = f" of {role}" if role else ""
    through = f" ({program})" if program else ""
    return f"session {pid}{by}{through}" + (f" since {since} UTC" if since else "")
