"""Addresses of the tables and the panel, for links and metadata. They contain no user and no password."""

from dataclasses import dataclass

from sqlalchemy import make_url

from import_pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Links:
    """The kind and address of the database, and the address of the panel."""

    kind: str  #: `postgres` or `sqlite`: Dagster shows a logo for each
    database: str
    panel: str

    def table(self, name: str) -> str:
        """Return the address of a table."""
        return f"{self.database}?table={name}"

    def imports_of(self, source: str) -> str:
        """Return the panel page with a source's imports."""
        return f"{self.panel}/?source={source}"

    def import_page(self, import_id: int) -> str:
        """Return the panel page of an import."""
        return f"{self.panel}/imports/{import_id}"


def links_of(settings: Settings) -> Links:
    """Return the links that follow from the settings."""
    url = make_url(settings.database_url)
    bare = url.set(drivername=url.get_backend_name(), username=None, password=None, query={})
    return Links(
        kind="postgres" if settings.is_postgres else "sqlite",
        database=bare.render_as_string(),
        panel=settings.panel_url or f"http://127.0.0.1:{settings.panel_port}",
    )
