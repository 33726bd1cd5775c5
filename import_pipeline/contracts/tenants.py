"""One class for many tenants: each instance has a name of its own, and with it settings, assets and limits."""

from import_pipeline.settings import Settings, SourceSettings


class TenantNames:
    """The name of a source: that of its class, unless the instance got its own."""

    name: str  #: up to 100 letters, digits and underscores; settings, assets and jobs are named after it

    siblings: frozenset[str] = frozenset()  #: other tenants that write to the same rows; set when sources are loaded

    def __init__(self, *, name: str | None = None) -> None:
        """Give a tenant its name: `OrdersSource(name="orders_acme")` has the settings ORDERS_ACME_..."""
        if name is not None:
            self.name = name

    @property
    def family(self) -> str | None:
        """The name of the class, whose settings count for each tenant that has none of its own. None: no tenant."""
        of_class = getattr(type(self), "name", None)
        return of_class if isinstance(of_class, str) and of_class != self.name else None

    def own_settings(self, settings: Settings) -> SourceSettings:
        """Return the settings of this source. Raises SettingError."""
        return settings.source(self.name, self.family)
