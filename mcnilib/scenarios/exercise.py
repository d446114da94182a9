"""Exercises: the learner types commands into namespaces, and the packet's fate changes.

    exercise(7, 1).check("node1: iptables -D KUBE-FORWARD 1")

The tasks, their conditions and their solutions stand in exercises/NN.toml, so that no notebook shows an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError, NotThere, error_text
from mcnilib.scenarios import scenario
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.explain import verdict
from mcnilib.trace.run import run
from mcnilib.world.commands import do
from mcnilib.world.listing import listing
from mcnilib.world.world import World


@dataclass(frozen=True)
class Exercise:
    """A task with conditions that can be checked. `number` counts from 1 within its scenario."""

    scenario: int
    number: int
    task: str
    solution: str = ""  # empty in a learner's copy
    start: dict[str, str] = field(default_factory=dict)  # settings, as far as they differ from the scenario's start
    before: str = ""  # commands carried out before the learner begins
    works: bool = True  # whether the conversation must work in the end
    also: tuple[str, ...] = ()  # further stories that must end like this one
    only: tuple[str, ...] = ()  # namespaces that may be changed; empty: all
    without: tuple[str, ...] = ()  # command words that may not be used
    keep: tuple[tuple[str, str, str], ...] = ()  # (namespace, command, line) that must still be printed
    hint: str = ""

    @property
    def story(self) -> Scenario:
        """The scenario the exercise belongs to."""
        return scenario(str(self.scenario))

    @property
    def settings(self) -> Settings:
        """The settings the exercise starts from."""
        return self.story.start().but(**self.start)

    def world(self) -> World:
        """Return the cluster the learner finds."""
        world = self.story.world(self.settings)
        for netns, command in _commands(self.before):
            world = do(world, netns, command)
        return world

    def check(self, answer: str) -> None:
        """Carry out an answer, one `NAMESPACE: COMMAND` a line, and print whether the task is done.

        A mistake is printed too, in the answer or in mcnilib; nothing is raised for it.
        """
        done, says = self.judge(answer)
        print(f"{'✔ done' if done else '✘ not yet'}: {says}")

    def judge(self, answer: str) -> tuple[bool, str]:
        """Tell whether an answer does the task, and why or why not."""
        try:
            commands = list(_commands(answer))
            world = self.world()
            for netns, command in commands:
                world = do(world, netns, command)
            wrong = self._broken(world, commands)
            traces = [
                run(world, story.flow(self.settings), story.listeners(self.settings)) for story in self._stories()
            ]
        except Exception as problem:
            return False, error_text(problem)
        if wrong:
            return False, wrong
        shown = next((trace for trace in traces if trace.outcome.works is not self.works), traces[0])
        return shown.outcome.works is self.works, verdict(shown)

    def _stories(self) -> tuple[Scenario, ...]:
        return self.story, *map(scenario, self.also)

    def _broken(self, world: World, commands: Iterable[tuple[str, str]]) -> str:
        """Name the first condition the answer breaks; empty when it keeps them all."""
        for netns, command in commands:
            if self.only and netns not in self.only:
                return f"only {', '.join(self.only)} may be changed, not {netns}"
            for word in self.without:
                if word in command.split():
                    return f"{word!r} may not be used"
        for netns, shown, line in self.keep:
            if line not in [printed.strip() for printed in listing(world[netns], shown).splitlines()]:
                return f"`{line}` must stay on {netns}"
        return ""

    def help(self) -> None:
        """Print the hint."""
        print(self.hint or "no hint for this one")

    def solve(self) -> None:
        """Print a solution, and what becomes of the conversation with it."""
        if not self.solution:
            print("this copy has no solutions; `help()` prints a hint")
            return
        print(self.solution.strip())
        self.check(self.solution)


def _commands(answer: str) -> Iterable[tuple[str, str]]:
    for line in map(str.strip, answer.strip().splitlines()):
        if not line or line.startswith("#"):
            continue
        netns, colon, command = line.partition(":")
        if not colon or " " in netns:
            raise McniError(f"expected `NAMESPACE: COMMAND`, for example `node1: ip rule add ...`, not {line!r}")
        yield netns, command.strip()


@cache
def exercises() -> tuple[Exercise, ...]:
    """Return all exercises, in the order of the scenarios."""
    import tomllib  # a fortieth of what a command takes to start

    chapters = sorted(files(__package__).joinpath("exercises").iterdir(), key=lambda file: file.name)
    texts = (file.read_text(encoding="utf-8") for file in chapters if file.name.endswith(".toml"))
    return tuple(_exercise(table) for text in texts for table in tomllib.loads(text)["exercise"])


def _exercise(values: dict[str, object]) -> Exercise:
    lists = {name: tuple(map(_tuple, values[name])) for name in ("only", "without", "keep", "also") if name in values}  # type: ignore[call-overload]
    return Exercise(**(values | lists))  # type: ignore[arg-type]


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def exercise(scenario: int, number: int) -> Exercise:
    """Return an exercise of a scenario. Raises: NotThere, naming the ones there are."""
    for task in exercises():
        if (task.scenario, task.number) == (scenario, number):
            return task
    numbers = ", ".join(str(task.number) for task in exercises() if task.scenario == scenario) or "none"
    raise NotThere(f"scenario {scenario} has no exercise {number}; there are {numbers}")
