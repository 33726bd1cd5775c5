"""A REST API as a Dagster component: a dozen words in a defs.yaml."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster.components.utils.translation import TranslationFnResolver
from pydantic import BaseModel

from import_pipeline.contracts import ImportSource, check_source
from import_pipeline.declarative import RestSource
from import_pipeline.declarative.files import IN_DAGSTER_ONLY, in_file
from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.components.model import RestImportModel
from import_pipeline.defs.components.scaffolder import RestImportScaffolder
from import_pipeline.defs.links import links_of
from import_pipeline.defs.tracking_assets import tracking_specs
from import_pipeline.defs.translation.translator import Translator
from import_pipeline.errors import ContractError
from import_pipeline.settings import load_settings


@dg.scaffold_with(RestImportScaffolder)
class RestImport(dg.Component):
    """Import every record of a rate-limited REST API into your database, on a schedule, and keep it up to date.

    The attributes are the words of a declared source. The component defines the assets `discovered_<name>` and
    `enriched_<name>` with their checks, the jobs, the schedule and the sensor. Secrets are named, never written here:
    they come from environment variables such as <NAME>_TOKEN.
    """

    def __init__(
        self, source: RestSource, translator: Translator | None = None, *, tracking_assets: bool = False
    ) -> None:
        self.source = source
        self.translator = translator
        self.tracking_assets = tracking_assets

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model of the attributes."""
        return RestImportModel

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return tags for the list of components."""
        return dg.ComponentTypeSpec(tags=["rest", "api", "import"])

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component that the attributes declare. Raises ContractError, which names the key."""
        given: Mapping[str, Any] = {} if attributes is None else attributes.model_dump(exclude_unset=True)
        resolution = context.resolution_context.at_path("attributes")
        words = resolution.resolve_value({key: value for key, value in given.items() if key not in IN_DAGSTER_ONLY})
        translation = getattr(attributes, "translation", None)
        return cls(
            _declared(words, context),
            _translator(resolution, translation) if translation is not None else None,
            tracking_assets=bool(given.get("tracking_assets")),
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the source. Raises ContractError, SettingError."""
        settings = load_settings()
        check_source(self.source)
        definitions = build_import_definitions(self.source, settings=settings, translator=self.translator)
        if not self.tracking_assets:
            return definitions
        return dg.Definitions.merge(definitions, dg.Definitions(assets=tracking_specs(links_of(settings))))


def _declared(words: Mapping[str, Any], context: dg.ComponentLoadContext) -> RestSource:
    """Return the source. Raises ContractError, which names the file and the key."""
    file = str(Path(context.path) / "defs.yaml")
    try:
        source = RestSource(**words)
    except ContractError as error:
        raise in_file(file, error) from None
    source.declared_in = file
    return source


def _translator(context: dg.ResolutionContext, translation: object) -> Translator:
    """Return the translator that the attribute declares, as in Dagster's own components."""
    resolver = TranslationFnResolver[ImportSource](lambda source: {"source": source})
    resolve: Callable[[dg.ResolutionContext, object], Translator] = resolver.fn.callable
    return resolve(context, translation)
