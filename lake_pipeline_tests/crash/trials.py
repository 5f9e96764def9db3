"""Trials: disturb a use case at a boundary, start it again, and compare with an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import text

from lake_pipeline_tests.crash.boundaries import Boundaries
from lake_pipeline_tests.crash.disturbances import Disturbance, expire_everything, run_as_operator
from lake_pipeline_tests.crash.forks import Child, Ending, in_child
from lake_pipeline_tests.crash.observation import difference, observe
from lake_pipeline_tests.crash.scenarios import Scenario
from lake_pipeline_tests.crash.worlds import World, Worlds
from lake_pipeline_tests.support.ledger_builders import RETRIES_COME

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The result of one trial. `struck` are the names of the boundaries where workers were disturbed.

    `faults` counts the requests that failed in addition.
    """

    name: str
    struck: tuple[str, ...]
    problems: tuple[str, ...]
    faults: int = 0

    @property
    def idle(self) -> bool:
        """Whether no worker reached its boundary, so that nothing was proven."""
        return not self.struck


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """A run without a disturbance: the boundaries that it crossed and the state at its end."""

    boundaries: tuple[str, ...]
    state: dict[str, Any] = field(repr=False)


class Matrix:
    """The trials of one scenario, on copies of one world."""

    def __init__(self, boundaries: Boundaries, scenario: Scenario, worlds: Worlds, world: World) -> None:
        self._boundaries = boundaries
        self._scenario = scenario
        self._worlds = worlds
        self._world = world
        self.undisturbed = self._undisturbed()

    def at(self, how: Disturbance, *numbers: int) -> Trial:
        """Disturb the first run at the first number, the one after it at the second, …; then let one finish."""
        with self._worlds.copy(self._world) as world:
            if how is Disturbance.RESTART:
                # The copy of a sequence is ahead of its log: without this, the restarted server would give its last
                # numbers a second time. Only ledgers in tests are such copies.
                run_as_operator(world.url, "CHECKPOINT")
            world.start_faults(sum(numbers))
            endings = [self._disturbed(world, how, number) for number in numbers]
            return self._trial(f"--by {how} --at {' '.join(map(str, numbers))}", world, endings)

    def four(self, seed: int) -> Trial:
        """Four workers at once, each killed at a random boundary or, one in five, not at all; then one finishes."""
        generator = random.Random(seed)
        last = len(self.undisturbed.boundaries)
        numbers = [generator.randint(1, last) if generator.random() < 0.8 else 0 for _ in range(4)]
        with self._worlds.copy(self._world) as world:
            world.start_faults(seed)
            children = [Child(self._act(world, Disturbance.KILL, number)) for number in numbers]
            endings = [child.wait() for child in children]
            return self._trial(f"--four {seed}", world, endings)

    def _disturbed(self, world: World, how: Disturbance, number: int) -> Ending:
        child = Child(self._act(world, how, number))
        if how is Disturbance.PAUSE and child.has_stopped():
            expire_everything(world.url)
            finished = in_child(self._finish(world))
            os.kill(child.pid, signal.SIGCONT)
            ending = child.wait()
            return replace(ending, error=ending.error or finished.error)
        return child.wait()

    def _undisturbed(self) -> Undisturbed:
        with self._worlds.copy(self._world) as world:
            acted = in_child(self._act(world, Disturbance.KILL, 0))
            assert acted.error is None, acted.error
            finished = in_child(self._finish(world))
            assert finished.error is None, finished.error
            _, state = finished.value
            assert state["fsck"] == [], state["fsck"]
            return Undisturbed(boundaries=acted.value, state=state)

    def _trial(self, name: str, world: World, endings: list[Ending]) -> Trial:
        problems = [ending.error for ending in endings if ending.error]
        problems += [f"ended by signal {ending.signal}" for ending in endings if ending.signal and not ending.killed]
        finished = in_child(self._finish(world))
        faults = 0
        if finished.value is None:
            problems.append(finished.error or f"the last run ended by signal {finished.signal}")
        else:
            faults, state = finished.value
            problems += difference(self.undisturbed.state, state)
        return Trial(
            name=f"--scenario {self._scenario.name} {name}",
            struck=tuple(ending.said for ending in endings if ending.said),
            problems=tuple(problems),
            faults=faults,
        )

    def _act(self, world: World, how: Disturbance, number: int) -> Callable[[Say], tuple[str, ...]]:
        """Act, disturbed at boundary `number`; 0 for never. Returns the names of the boundaries that were crossed."""

        def act(say: Say) -> tuple[str, ...]:
            crossed: list[str] = []

            def cross(now: int, name: str) -> None:
                crossed.append(name)
                if now == number:
                    say(f"{now} {name}")
                    how.strike(name, world)
                elif 0 < number < now and how.lasts(name):
                    how.strike(name, world)

            lake = world.lake(world.watched(self._boundaries, cross))
            # A disturbed run may end with what the project raises on purpose, and an interrupted one with Ctrl-C.
            with suppress(*how.may_end_with):
                self._scenario.act(lake, world)
            return tuple(crossed)

        return act

    def _finish(self, world: World) -> Callable[[Say], tuple[int, dict[str, Any]]]:
        """Finish the work; returns how many requests failed until then, and the state."""

        def finish(_say: Say) -> tuple[int, dict[str, Any]]:
            lake = world.lake()
            with lake.ledger.database.transaction() as connection:
                connection.execute(text(RETRIES_COME))
            self._scenario.finish(lake, world)
            faults = world.stop_faults()
            with world.visible() as root:
                return faults, observe(lake, root)

        return finish


@contextmanager
def matrix_of(boundaries: Boundaries, scenario: Scenario, worlds: Worlds) -> Iterator[Matrix]:
    """The matrix of a scenario; its world is removed when the block ends."""
    with worlds.empty() as world:

        def prepare(_say: Say) -> None:
            scenario.prepare(world.lake(), world)

        prepared = in_child(prepare)
        assert prepared.error is None, prepared.error
        yield Matrix(boundaries, scenario, worlds, world)
