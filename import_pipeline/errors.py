"""The errors of this package.

    ImportPipelineError
    ├── UsageError                  the caller must change something first; exit status 2
    │   ├── SettingError            a setting cannot be read
    │   ├── SourceNotFound          no source of that name, or the list of sources cannot be loaded
    │   ├── ContractError           a source or an importable breaks its contract
    │   ├── HookFailed              a method of theirs raised, or returned an invalid value
    │   ├── CostTooHigh             a request costs more than a whole window of a limit
    │   ├── ImportNotFound          no import has this id
    │   └── SchemaError             the tables in the database do not match this version
    ├── InvalidTransition           a status does not allow this change
    ├── ImportAlreadyRunning        another import of the source is running
    ├── LeaseLost                   another process took this import over
    ├── ApiBlocked                  the API demands a longer pause than the caller waits
    ├── ImportStopped               an import ended before all of its items did
    │   ├── ImportCancelled         on request of a person
    │   ├── ImportInterrupted       since its process has to end; the next run resumes it
    │   └── ImportFailed            since continuing makes no sense
    │       ├── OtherOrigin         a request would leave the source's own origin
    │       └── TokenRefused        the token server grants no access token, and no later request can change that
    ├── Unavailable                 a required server does not answer
    │   ├── DatabaseUnavailable
    │   └── LimiterUnavailable
    └── ItemError                   one item cannot be imported (now)
        ├── ItemRejected            permanently: 404, 410, a payload that the importable rejects
        │   └── ItemDenied          access denied: 401, 403; many in a row fail the import
        └── ItemRetryable           a later try may succeed: timeouts, 5xx, broken connections

Attributes carry the data for programs. The text says what is wrong, what was expected, and what to do.
"""

from datetime import datetime, timedelta


class ImportPipelineError(Exception):
    """The base class of all errors that this package raises on purpose."""


class UsageError(ImportPipelineError):
    """The caller must change something before another try can succeed."""


class SettingError(UsageError):
    """A setting cannot be read. Gives its name, the expectation, and the value, masked if secret."""

    def __init__(self, name: str, expected: str, got: str) -> None:
        super().__init__(f"{name}: expected {expected}, got {got}")
        self.name = name
        self.expected = expected


class SourceNotFound(UsageError):
    """No source of that name is listed, or the list cannot be loaded."""


class ContractError(UsageError):
    """A user's class or declaration breaks its contract. Names source, method or key, and expectation.

    `file` is that of a declaration. A declaration without a name has no source, and one that is no mapping no key.
    `problem` says what is wrong in place of the expectation: a key is unknown.
    """

    def __init__(self, source: str, method: str, expected: str, got: str, *, file: str = "", problem: str = "") -> None:
        place = ": ".join(filter(None, (file, ".".join(filter(None, (source, method))))))
        super().__init__(f"{place}: {problem or f'expected {expected}, got {got}'}")
        self.source = source
        self.method = method
        self.expected = expected
        self.got = got
        self.problem = problem


class HookFailed(UsageError):
    """A method of a user's class raised, or returned an invalid value. `hook` and `place` (file, line) name it.

    `lacks_path`: a well-formed answer has nothing that fits at a path of the declaration.
    """

    def __init__(self, hook: str, problem: str, place: str | None = None, *, lacks_path: bool = False) -> None:
        super().__init__(f"{hook} {problem}" + (f" ({place})" if place else ""))
        self.hook = hook.rstrip(":")
        self.place = place
        self.lacks_path = lacks_path


class CostTooHigh(UsageError):
    """A request costs more permits than a whole window of its limits has, or less than one."""


class ImportNotFound(UsageError):
    """No import has this id."""


class SchemaError(UsageError):
    """The tables in the database do not match this version of the package."""


class InvalidTransition(ImportPipelineError):
    """A status does not allow the change, or no longer."""

    def __init__(self, what: str, wanted: str, found: str) -> None:
        clause = f"is already {found}" if wanted == found else f"cannot become {wanted}: it is {found}"
        super().__init__(f"{what} {clause}")
        self.wanted = wanted
        self.found = found


class ImportAlreadyRunning(ImportPipelineError):
    """Another import of the source is running. `fact` is the clause that names it, with since when and where."""

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
        self.fact = (
            f"{source}: import {import_id} has been running since {since:%Y-%m-%d %H:%M:%S} UTC on {where}{in_run}"
        )
        super().__init__(f"{self.fact}. Wait for it, or cancel it; {takeover}")
        self.source = source
        self.import_id = import_id
        self.since = since
        self.run_id = run_id


class LeaseLost(ImportPipelineError):
    """Another process took this import over. This one must not write anything more."""


class HeartbeatFailed(ImportPipelineError):
    """The heartbeat failed with an unknown error, so this process can no longer keep its lease."""


class ApiBlocked(ImportPipelineError):
    """The API demands a longer pause than the caller waits. `until` is its end, aware and in UTC."""

    def __init__(self, api: str, until: datetime) -> None:
        super().__init__(f"{api}: the API demands a pause until {until:%Y-%m-%d %H:%M:%S} UTC")
        self.api = api
        self.until = until


class ImportStopped(ImportPipelineError):
    """An import ended before all of its items did."""


class ImportCancelled(ImportStopped):
    """A person cancelled the import."""


class ImportInterrupted(ImportStopped):
    """The process has to end. The import stays running without a worker, and the next run resumes it."""


class ImportFailed(ImportStopped):
    """Continuing makes no sense. The text says why, and what to do."""


class OtherOrigin(ImportFailed):
    """A request would leave the source's own origin and carry its token there."""


class TokenRefused(ImportFailed):
    """The token server grants no access token. A person has to change something."""


class Unavailable(ImportPipelineError):
    """A required server does not answer."""


class DatabaseUnavailable(Unavailable):
    """The tracking database cannot be reached or fails. `may_pass`: a later try may succeed by itself."""

    def __init__(self, message: str, *, may_pass: bool = False, meaning: str | None = None) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.meaning = meaning  #: one of `rules.database_errors`, if the database answered


class LimiterUnavailable(Unavailable):
    """The rate-limit store cannot be reached; no requests are sent until it answers. `said` is the store's own message.

    `may_pass`: True if it may answer later by itself, False if a person has to change something.
    """

    def __init__(self, message: str, said: str | None = None, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.said = said or message
        self.may_pass = may_pass


class ItemError(ImportPipelineError):
    """One item cannot be imported, or not now."""


class ItemRejected(ItemError):
    """The item is permanently failed: another try cannot help."""


class ItemDenied(ItemRejected):
    """Access to the item is denied, or its address is wrong. Many in a row fail the whole import."""


class ItemRetryable(ItemError):
    """A later try may succeed. `after` is the least wait before it, if the API names one."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after
