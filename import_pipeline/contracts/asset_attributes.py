"""The attributes of a source's assets in Dagster."""

import re
from collections.abc import Mapping

from import_pipeline.errors import ContractError

#: The forms that Dagster accepts.
_OWNER = re.compile(r"team:[\w.-]+|[^\s@]+@[^\s@]+\.[^\s@]+")
_TAG_KEY = re.compile(r"(?:[A-Za-z0-9_.-]{1,63}/)*[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")


class AssetAttributes:
    """The keys, group, tags and owners that the assets of a source have in Dagster."""

    name: str
    owners: tuple[str, ...] = ()  #: owners of the assets: `team:data` or mail addresses
    group_name: str = ""  #: the group of the assets; empty: the source's name
    asset_key_prefix: tuple[str, ...] = ()  #: parts before the keys: ("crm", "raw") makes crm/raw/enriched_orders
    tags: Mapping[str, str] = {}  #: tags of the assets
    #: Keys that a translator gave: "discovered" or "enriched" -> the parts of the key. Set by Dagster's definitions.
    asset_paths: Mapping[str, tuple[str, ...]] = {}

    def asset_path(self, phase: str) -> tuple[str, ...]:
        """Return the parts of the key of the asset `discovered` or `enriched`."""
        return self.asset_paths.get(phase) or (*self.asset_key_prefix, f"{phase}_{self.name}")


def check_asset_attributes(source: AssetAttributes) -> None:
    """Raise ContractError for attributes that Dagster would refuse, or read part by part."""
    name, prefix, group = source.name, source.asset_key_prefix, source.group_name
    if not isinstance(prefix, tuple | list) or not all(isinstance(each, str) and each for each in prefix):
        raise ContractError(name, "asset_key_prefix", 'a tuple of texts, such as ("crm", "raw")', repr(prefix))
    if not isinstance(group, str) or not re.fullmatch(r"\w*", group, re.ASCII):
        raise ContractError(name, "group_name", "letters, digits and underscores", repr(group))
    is_mapping = isinstance(source.tags, Mapping)
    if not is_mapping or not all(isinstance(part, str) for pair in source.tags.items() for part in pair):
        raise ContractError(name, "tags", 'a mapping of texts, such as {"team": "crm"}', repr(source.tags))
    if not isinstance(source.owners, tuple | list) or not all(isinstance(each, str) for each in source.owners):
        raise ContractError(name, "owners", 'a tuple of texts, such as ("team:data",)', repr(source.owners))
    for owner in source.owners:
        if not _OWNER.fullmatch(owner):
            raise ContractError(name, "owners", "team:name, or a mail address", repr(owner))
    for key, value in source.tags.items():
        if not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
            expected = "keys and values of at most 63 letters, digits, dots, dashes and underscores"
            raise ContractError(name, "tags", expected, repr(f"{key}: {value}"))
