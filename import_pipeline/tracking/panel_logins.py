"""Logins to the panel that a person has ended early, which the cookie alone does not show."""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from import_pipeline.tracking.database.dialect import insert_into
from import_pipeline.tracking.tables import panel_logouts


def end(connection: Connection, login: str, until: datetime, now: datetime) -> None:
    """End a login that would be valid until that moment. Logins that have expired are deleted."""
    connection.execute(delete(panel_logouts).where(panel_logouts.c.until <= now))
    connection.execute(insert_into(connection, panel_logouts).values(login=login, until=until).on_conflict_do_nothing())


def has_ended(connection: Connection, login: str) -> bool:
    """Return True if the login was ended."""
    return connection.scalar(select(panel_logouts.c.login).where(panel_logouts.c.login == login)) is not None
