"""Where things are, for links and definitions: the tables, the panel. No user and no password."""

from dataclasses import dataclass

from sqlalchemy import make_url

from import_pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Links:
    """The database's kind and address, and the panel's."""

    kind: str  #: as Dagster calls it: it has a logo for each
    database: str
    panel: str

    def table(self, name: str) -> str:
        """The address of a table."""
        return f"{self.database}?table={name}"

    def imports_of(self, source: str) -> str:
        """The panel's page of a source's imports."""
        return f"{self.panel}/?source={source}"

    def import_page(self, import_id: int) -> str:
        """The panel's page of an import."""
        return f"{self.panel}/imports/{import_id}"


def links_of(settings: Settings) -> Links:
    """What the settings say."""
    url = make_url(settings.database_url)
    bare = url.set(drivername=url.get_backend_name(), username=None, password=None, query={})
    return Links(
        kind="postgres" if settings.is_postgres else "sqlite",
        database=bare.render_as_string(),
        panel=settings.panel_url or f"http://127.0.0.1:{settings.panel_port}",
    )
