"""The conformance kit: a source of your own, tried against what goes wrong with real APIs.

from import_pipeline.testing import CannedTransport, check_conformance

def test_my_source_conforms(tmp_path):
    check_conformance(OrdersSource(), CannedTransport(answer), tmp_path)

Each property is an import of its own, into a database of its own, through the transport with faults in between. The
transport answers as the API does when all is well; three pages and a few items show the most.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from import_pipeline.conformance.properties import Properties
from import_pipeline.conformance.trial import Trial
from import_pipeline.contracts import ImportSource
from import_pipeline.importer.run_import import refuse_running_loop
from import_pipeline.wording import plural


class NotConformant(AssertionError):
    """The source does not keep some properties; the text names each with its reason."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property, and what was found."""

    name: str
    problem: str | None  #: None: the source keeps it

    def __str__(self) -> str:
        return f"ok      {self.name}" if self.problem is None else f"FAILED  {self.name}: {self.problem}"


def check_conformance(
    source: ImportSource,
    transport: httpx.AsyncBaseTransport,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    parents: Sequence[ImportSource] = (),
    show: Callable[[str], object] = print,
) -> list[Property]:
    """Try the source and show a line per property. Takes some seconds; nothing is sent to any API.

    The source is a class's instance or a declared one. `environment` has further variables, such as secrets of the
    source; absent secrets have a made-up value. `parents` has the sources that a `parent` names by their names.
    Raises NotConformant at the end if a property does not hold, ContractError if the source does not keep its contract,
    UsageError inside a running event loop.
    """
    refuse_running_loop("check_conformance")
    kit = Properties(Trial(source, transport, folder, environment, parents))
    found = []
    for name, check in kit.checks():
        found.append(Property(name=name, problem=check()))
        show(str(found[-1]))
        if kit.expected is None:
            break  # all others compare with the plain import
    if broken := [each for each in found if each.problem is not None]:
        sentences = "; ".join(f"{each.name}: {each.problem}" for each in broken)
        raise NotConformant(f"{source.name} fails {plural(len(broken), 'property', 'properties')}: {sentences}")
    return found
