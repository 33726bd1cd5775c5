"""One sensor for all sources. It opens the installation once, and ticks only the sources that need it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.defs.all_sources.attention import Attention, Situation
from import_pipeline.defs.run_requests import run_requests, shard_run_requests
from import_pipeline.defs.sensors import (
    SHORTEST_INTERVAL_SECONDS,
    schedule_is_on,
    schedule_states,
    switched_on_at,
)
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.source_loader import configure_each
from import_pipeline.redaction import masking, redact
from import_pipeline.settings import Settings, load_settings

#: Seconds after which a tick leaves the rest to the next one. Dagster ends a tick after 60.
LONGEST_TICK_SECONDS = 20.0
MOST_NAMED = 5  #: sentences of one tick


def build_sensor_of_all(sources: Sequence[ImportSource], jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Return the sensor, which ticks every few seconds and launches `jobs`."""
    watch = Watch(sources)

    @dg.sensor(
        name=names.SENSOR_OF_ALL,
        jobs=jobs,
        minimum_interval_seconds=SHORTEST_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Every few seconds, for {len(sources)} sources: schedules the next slot, starts due and requested "
            "imports, resumes stalled imports, cancels missed slots. To stop the slots of one source, switch its "
            "schedule off."
        ),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        with masking():
            answers = watch.tick(context)
        yield from answers

    return evaluate


class Watch:
    """The sources of one sensor, and what it remembers between two ticks."""

    def __init__(self, sources: Sequence[ImportSource]) -> None:
        self._declared = list(sources)
        self._attention = Attention()
        self._configured: tuple[Mapping[str, str], list[ImportSource], dict[str, ImportPipelineError]] | None = None

    def tick(self, context: dg.SensorEvaluationContext) -> list[dg.RunRequest | dg.SkipReason]:
        """Tick the sources that need it; return their run requests, or one skip reason.

        A source that fails does not stop the others. If no run is requested, the tick then fails with its reason.
        """
        settings = load_settings()
        sources, unloadable = self._sources(settings)
        errors: dict[str, Exception] = dict(unloadable)
        with open_installation(settings, sources) as installation:
            requests, sentences = self._tick_sources(installation, context, errors)
        for name, error in errors.items():
            context.log.error(f"{name}: {redact(str(error))}")
        if requests:
            return list(requests)
        if errors:
            raise next(iter(errors.values()))
        more = [f"and {len(sentences) - MOST_NAMED} more."] if len(sentences) > MOST_NAMED else []
        return [dg.SkipReason(" ".join([*sentences[:MOST_NAMED], *more]) or "No source has anything to do.")]

    def _sources(self, settings: Settings) -> tuple[list[ImportSource], dict[str, ImportPipelineError]]:
        """Return the sources with their settings, which are read again only if a variable has changed."""
        if self._configured is None or self._configured[0] != settings.environment:
            self._configured = (settings.environment, *configure_each(self._declared, settings))
        return self._configured[1], self._configured[2]

    def _tick_sources(
        self,
        installation: Installation,
        context: dg.SensorEvaluationContext,
        errors: dict[str, Exception],
    ) -> tuple[list[dg.RunRequest], list[str]]:
        by_name = {source.name: source for source in installation.sources}
        states = schedule_states(context.instance)
        switches = {name: _switch(states.get(names.schedule(name), [])) for name in by_name}
        before, now = self._situation(installation), installation.clock.now()
        requests, sentences, ticked = list[dg.RunRequest](), list[str](), list[str]()
        ends = time.monotonic() + LONGEST_TICK_SECONDS
        for name in self._attention.due(list(by_name), before, switches, now):
            if time.monotonic() > ends:
                sentences.append("The other sources follow in the next tick.")
                break
            try:
                for each in _of_source(installation, by_name[name], context, states.get(names.schedule(name), [])):
                    if isinstance(each, dg.RunRequest):
                        requests.append(each)
                    elif each.skip_message:
                        sentences.append(f"{name}: {each.skip_message}")
            except Exception as error:  # noqa: BLE001 - whatever a source's code raises, the others are ticked
                errors[name] = error
            else:
                ticked.append(name)
        after = self._situation(installation) if ticked else before
        for name in ticked:
            self._attention.settle(name, before, after, switches, now)
        return requests, sentences

    def _situation(self, installation: Installation) -> Situation:
        return installation.database.transact(Situation.read, read_only=True)


def _of_source(
    installation: Installation, source: ImportSource, context: dg.SensorEvaluationContext, states: Sequence[Any]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    installation.checked_source(source.name)
    is_on, since = schedule_is_on(states), switched_on_at(states)
    yield from run_requests(installation, source, context, schedule_is_on=is_on, on_since=since)
    yield from shard_run_requests(installation, source, context.instance)


def _switch(states: Sequence[Any]) -> tuple[object, ...]:
    """Return what changes when a person switches the schedule."""
    return schedule_is_on(states), switched_on_at(states)
