"""Every error that a user of this package can meet.

    ImportPipelineError
    ├── UsageError                  the caller must change something; exit status 2
    │   ├── SettingError            a setting cannot be read
    │   ├── SourceNotFound          no source of that name, or the list of sources cannot be loaded
    │   ├── ContractError           a source or an importable does not do what the contract says
    │   ├── HookFailed              a method of theirs raised, or returned what it may not
    │   ├── CostTooHigh             a request costs more than a limit has room for
    │   ├── ImportNotFound          no import of that id
    │   └── SchemaError             the database's tables do not fit this version
    ├── InvalidTransition           a status may not become that other status
    ├── ImportAlreadyRunning        another import of the source runs
    ├── LeaseLost                   somebody else has taken this import over
    ├── ApiBlocked                  the API asks for a longer pause than the caller would wait
    ├── ImportStopped               an import ended before its items did
    │   ├── ImportCancelled         because a person wished it
    │   ├── ImportInterrupted       because its process was told to end; the next run goes on with it
    │   └── ImportFailed            because going on makes no sense
    │       └── OtherOrigin         a request would leave the source's own origin
    ├── Unavailable                 a server that is needed does not answer
    │   ├── DatabaseUnavailable
    │   └── LimiterUnavailable
    └── ItemError                   one item cannot be imported (now)
        ├── ItemRejected            it never will be: 404, 410, a payload that the importable refuses
        │   └── ItemDenied          we may not have it: 401, 403; many of them in a row concern the import
        └── ItemRetryable           a later try may do: timeouts, 5xx, broken connections

Data that a program may want stands in attributes; the text says what is, what was expected and what to do.
"""

from datetime import datetime, timedelta


class ImportPipelineError(Exception):
    """The root of all errors raised on purpose by this package."""


class UsageError(ImportPipelineError):
    """The caller must change something before a new try can work."""


class SettingError(UsageError):
    """A setting cannot be read: its name, what was expected, what it got (masked where it is a secret)."""

    def __init__(self, name: str, expected: str, got: str) -> None:
        super().__init__(f"{name}: expected {expected}, got {got}")
        self.name = name
        self.expected = expected


class SourceNotFound(UsageError):
    """No source of that name is listed, or the list cannot be loaded."""


class ContractError(UsageError):
    """A user's implementation does not do what the contract says; names source, method and expectation."""

    def __init__(self, source: str, method: str, expected: str, got: str) -> None:
        super().__init__(f"{source}.{method}: expected {expected}, got {got}")
        self.source = source
        self.method = method


class HookFailed(UsageError):
    """A method of a user's class raised, or returned what it may not; `hook` and `place` (file and line) name it."""

    def __init__(self, hook: str, problem: str, place: str | None = None) -> None:
        super().__init__(f"{hook} {problem}" + (f" ({place})" if place else ""))
        self.hook = hook
        self.place = place


class CostTooHigh(UsageError):
    """A request costs more places than a whole window of its limits has, or fewer than one."""


class ImportNotFound(UsageError):
    """No import of that id is known."""


class SchemaError(UsageError):
    """The tables in the database do not fit this version of the package."""


class InvalidTransition(ImportPipelineError):
    """A status may not become that other status (anymore)."""

    def __init__(self, what: str, wanted: str, found: str) -> None:
        super().__init__(f"{what} cannot become {wanted}: it is {found}")
        self.wanted = wanted
        self.found = found


class ImportAlreadyRunning(ImportPipelineError):
    """Another import of the source runs; `import_id`, `since` and `run_id` tell which, `fact` all that in a clause."""

    def __init__(
        self,
        source: str,
        *,
        import_id: int,
        since: datetime,
        where: str,
        run_id: str | None,
        takeover: str,
    ) -> None:
        in_run = f" in Dagster run {run_id}" if run_id else ""
        self.fact = f"{source}: import {import_id} is running since {since:%Y-%m-%d %H:%M:%S} UTC on {where}{in_run}"
        super().__init__(f"{self.fact}. Wait for it, or cancel it; {takeover}")
        self.source = source
        self.import_id = import_id
        self.since = since
        self.run_id = run_id


class LeaseLost(ImportPipelineError):
    """Another process has taken this import over; nothing that this one still holds may be written."""


class HeartbeatFailed(ImportPipelineError):
    """The heartbeat met an error that it does not know, so this process cannot keep its lease any longer."""


class ApiBlocked(ImportPipelineError):
    """The API asks for a longer pause than the caller is willing to wait; `until` is its end (aware, UTC)."""

    def __init__(self, api: str, until: datetime) -> None:
        super().__init__(f"{api}: the API asks for a pause until {until:%Y-%m-%d %H:%M:%S} UTC")
        self.api = api
        self.until = until


class ImportStopped(ImportPipelineError):
    """An import ends before all its items did."""


class ImportCancelled(ImportStopped):
    """A person wished the import to end."""


class ImportInterrupted(ImportStopped):
    """The process was told to end. The import stays running without a worker, and the next run goes on with it."""


class ImportFailed(ImportStopped):
    """Going on makes no sense: the reason says why and what to do."""


class OtherOrigin(ImportFailed):
    """A request would leave the source's own origin, and take its token there."""


class Unavailable(ImportPipelineError):
    """A server that is needed does not answer."""


class DatabaseUnavailable(Unavailable):
    """The tracking database cannot be reached or does not work; `may_pass`: the same may succeed at another moment."""

    def __init__(self, message: str, *, may_pass: bool = False, meaning: str | None = None) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.meaning = meaning  #: as `rules.database_errors` names it, where the database has said anything


class LimiterUnavailable(Unavailable):
    """The limiter's store cannot be reached; nothing is sent until it can. `said` is what the store itself told.

    `may_pass`: whether it may answer later by itself; False if a person has to change something.
    """

    def __init__(self, message: str, said: str | None = None, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.said = said or message
        self.may_pass = may_pass


class ItemError(ImportPipelineError):
    """One item cannot be imported (now)."""


class ItemRejected(ItemError):
    """No further try can help."""


class ItemDenied(ItemRejected):
    """We may not have this item, or look for it at a wrong place; many of them in a row concern the whole import."""


class ItemRetryable(ItemError):
    """A later try may succeed; `after` is the least wait before it, if the API names one."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after
