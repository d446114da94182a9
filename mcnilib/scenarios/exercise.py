"""Exercises: the learner types commands into namespaces, and the packet's fate changes.

    exercise(7, 1).check("node1: iptables -D KUBE-FORWARD 1")

A command may also show something, as `node1: ip rule`. The tasks, their conditions and their solutions are in
exercises/NN.toml, so that no notebook shows an answer; `[[exercise.other]]` says what is else in another version of the
task above it. With a seed a task is set in one of the versions, in a world of its own (`exercises/own_world.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from mcnilib.cluster.settings import Settings
from mcnilib.errors import McniError, NotThere, error_text
from mcnilib.language import listed, mark, tr, trn
from mcnilib.scenarios import scenario
from mcnilib.scenarios.exercises.own_world import SeedError, introduced, nodes_introduced, own_story, own_world
from mcnilib.scenarios.scenario import Scenario
from mcnilib.trace.explain import verdict
from mcnilib.trace.trace import Trace, Verdict
from mcnilib.world.commands import do
from mcnilib.world.listing import listing
from mcnilib.world.world import World


@dataclass(frozen=True, slots=True)
class Typed:
    """A command as it was typed: `line` counts from 1. `shows` is what it printed where it only shows something."""

    line: int
    netns: str
    command: str
    shows: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an answer comes to: whether it does the task and why or why not, the cluster as it then is, and the
    conversation there; `wrong` is the line with the first mistake (0: there is none), of which nothing is carried out.
    """

    done: bool
    says: str
    world: World | None = None
    story: Scenario | None = None
    trace: Trace | None = None
    typed: tuple[Typed, ...] = ()
    wrong: int = 0

    @property
    def untouched(self) -> str:
        """Say that nothing was changed; empty where a command changed something, or a line is wrong."""
        if self.wrong or self.world is None or any(command.shows is None for command in self.typed):
            return ""
        return LOOKED if self.typed else UNCHANGED


LOOKED = mark("You looked, and changed nothing: below is what was printed.")

UNCHANGED = mark("Nothing is changed yet.")
"""What an answer is told that changes nothing; whether it does the task is not judged then."""

_DONE, _NOT_DONE = mark("✔ done: {why}"), mark("✘ not yet: {why}")


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
    other: tuple[dict[str, Any], ...] = ()  # what is else in other versions of it, which are as hard
    seed: str = ""  # of the world it is set in; empty for the common one

    @property
    def story(self) -> Scenario:
        """The scenario the exercise belongs to."""
        return self._story(str(self.scenario))

    def _story(self, name: str) -> Scenario:
        return own_story(self.seed, scenario(name)) if self.seed else scenario(name)

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

    def check(self, answer: str) -> object:
        """Carry out an answer, one `NAMESPACE: COMMAND` a line, and print whether the task is done.

        A mistake is printed too, in the answer or in mcnilib; nothing is raised for it. In a notebook what solves it
        is shown besides; here nothing is returned.
        """
        self.tell(self.attempt(answer))
        return None

    def tell(self, attempt: Attempt) -> None:
        """Print what an answer showed, and whether the task is done; of one that changes nothing, how things are."""
        if attempt.untouched:
            print(tr(LOOKED) if attempt.typed else tr("Nothing is changed yet: {verdict}", verdict=attempt.says))
        for command in attempt.typed:
            print(f"{command.netns}# {command.command}\n{command.shows}" if command.shows else "", end="")
        if not attempt.untouched:
            print(tr(_DONE if attempt.done else _NOT_DONE, why=attempt.says))

    def judge(self, answer: str) -> tuple[bool, str]:
        """Tell whether an answer does the task, and why or why not."""
        attempt = self.attempt(answer)
        return attempt.done, attempt.says

    def attempt(self, answer: str) -> Attempt:
        """Carry out an answer, one `NAMESPACE: COMMAND` a line, and judge what comes of it; nothing is raised."""
        typed, line = [], 0
        try:
            world = self.world()
            for line, text in _lines(answer):
                world, command = _carried_out(world, _typed(line, text))
                typed.append(command)
            line = 0
            return self._judged(world, tuple(typed))
        except Exception as problem:
            return Attempt(False, error_text(problem), wrong=line)

    def _judged(self, world: World, typed: tuple[Typed, ...]) -> Attempt:
        stories, traces = self._stories(), self._traces(world)
        unlike = self._unlike(traces)
        broken = self._broken(world, [command for command in typed if command.shows is None])
        shown = unlike[:1] or self._asked()
        ends = verdict(traces[shown[0]])
        if not unlike and self.also:
            ends = "\n".join(f"{tr(stories[number].title)}: {verdict(traces[number])}" for number in shown)
        done = not broken and not unlike
        return Attempt(done, broken or ends, world, stories[shown[0]], traces[shown[0]], typed)

    def introduced(self) -> str:
        """Say who connects to what, and which addresses they and the nodes have."""
        conversations = (introduced(story, self.settings) for story in self._stories())
        return tr(
            "In this world {conversations} {nodes}",
            conversations=" ".join(conversations),
            nodes=nodes_introduced(self.story.cluster),
        )

    def ends(self) -> tuple[Verdict, ...]:
        """Tell how its conversations end before the learner begins."""
        return tuple(trace.outcome.verdict for trace in self._traces(self.world()))

    def _asked(self) -> list[int]:
        """Tell which conversations end otherwise than they must before the learner begins: those the task is about."""
        if not self.also:
            return [0]
        return self._unlike(self._traces(self.world())) or [0]

    def _unlike(self, traces: Iterable[Trace]) -> list[int]:
        """Tell which conversations end otherwise than they must."""
        return [number for number, trace in enumerate(traces) if trace.outcome.works is not self.works]

    def _traces(self, world: World) -> tuple[Trace, ...]:
        return tuple(story.run_in(world, self.settings) for story in self._stories())

    def _stories(self) -> tuple[Scenario, ...]:
        return self.story, *map(self._story, self.also)

    def _broken(self, world: World, typed: Iterable[Typed]) -> str:
        """Name the first condition the answer breaks; empty when it keeps them all."""
        for command in typed:
            if self.only and command.netns not in self.only:
                return tr("only {names} may be changed, not {netns}", names=listed(self.only), netns=command.netns)
            for word in self.without:
                if word in command.command.split():
                    return tr("{word!r} may not be used", word=word)
        for netns, shown, line in self.keep:
            if line not in [printed.strip() for printed in listing(world[netns], shown).splitlines()]:
                return tr("`{line}` must stay on {netns}", line=line, netns=netns)
        return ""

    def hints(self) -> tuple[str, ...]:
        """Return what helps, from little to all: the hint, how the commands begin, a solution where there is one.

        Commands stand between backticks.
        """
        commands = [_typed(*line) for line in _lines(self.solution)]
        if not commands:
            return (tr(self.hint),) if self.hint else ()
        begins, whole = (
            tr(", then ").join(f"`{command.netns}: {form(command.command)}`" for command in commands)
            for form in (_begin, str)
        )
        begin = trn(
            "One solution is one command: {begins}.",
            "One solution is {count} commands: {begins}.",
            len(commands), begins=begins,
        )  # fmt: skip
        return tuple(filter(None, (tr(self.hint), begin, tr("A solution: {commands}", commands=whole))))

    def help(self, number: int = 1) -> None:
        """Print the hint; 2 is what more there is, 3 the solution."""
        hints = self.hints()
        print(hints[number - 1] if 0 < number <= len(hints) else tr("no hint for this one"))

    def solve(self) -> object:
        """Print a solution, and what becomes of the conversation with it; return what `check` does."""
        if not self.solution:
            print(tr("this copy has no solutions; `help()` prints a hint"))
            return None
        print(self.solution.strip())
        return self.check(self.solution)


def _commands(text: str) -> Iterable[tuple[str, str]]:
    return ((command.netns, command.command) for command in (_typed(*line) for line in _lines(text)))


def _lines(answer: str) -> Iterable[tuple[int, str]]:
    """Yield the lines that hold a command, with their numbers."""
    numbered = ((number, line.strip()) for number, line in enumerate(answer.splitlines(), 1))
    return ((number, line) for number, line in numbered if line and not line.startswith("#"))


def _typed(number: int, line: str) -> Typed:
    """Read a line. Raises: McniError for one that is no `NAMESPACE: COMMAND`."""
    netns, colon, command = line.partition(":")
    if not colon or " " in netns:
        raise McniError(
            tr("expected `NAMESPACE: COMMAND`, for example `node1: ip rule add ...`, not {line!r}", line=line)
        )
    return Typed(number, netns, command.strip())


def _carried_out(world: World, typed: Typed) -> tuple[World, Typed]:
    """Carry out a command, or show what it shows. Raises: McniError, as `do`, for one that does neither."""
    try:
        return do(world, typed.netns, typed.command), typed
    except McniError as refused:
        try:
            return world, replace(typed, shows=listing(world[typed.netns], typed.command))
        except McniError:
            raise refused from None


def _begin(command: str) -> str:
    """Return how a command begins, up to what it is about: the chain of iptables, the object and the verb of ip."""
    words = command.split()
    if words[0] != "iptables":
        return " ".join([*words[: 3 if words[0] == "ip" else 1], "…"])
    chain = next(at for at, word in enumerate(words) if re.fullmatch("-[ADFINP]", word)) + 1
    return " ".join([*words[: chain + (len(words) > chain + 1)], "…"])


@cache
def exercises() -> tuple[Exercise, ...]:
    """Return all exercises, in the order of the scenarios."""
    import tomllib  # a fortieth of what a command takes to start

    chapters = sorted(files(__package__).joinpath("exercises").iterdir(), key=lambda file: file.name)
    texts = (file.read_text(encoding="utf-8") for file in chapters if file.name.endswith(".toml"))
    return tuple(_exercise(table) for text in texts for table in tomllib.loads(text)["exercise"])


def _exercise(values: dict[str, Any]) -> Exercise:
    return Exercise(**_frozen(values | {"other": tuple(map(_frozen, values.get("other", ())))}))


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(map(_tuple, values[name])) for name in ("only", "without", "keep", "also") if name in values}
    return values | lists


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def exercise(scenario: int, number: int, seed: str = "") -> Exercise:
    """Return an exercise of a scenario; with a seed, a learner's name, as it is set in a world of the learner's own.

    That world has other addresses, and often another fault; the same seed gives the same one.
    Raises: NotThere, naming the exercises there are; SeedError for a seed whose world is refused: the conversation
    does not end there as it does in the common one, or the solution, where it is known, does not do the task.
    """
    for task in exercises():
        if (task.scenario, task.number) == (scenario, number):
            return _in_own_world(task, seed) if seed else task
    numbers = ", ".join(str(task.number) for task in exercises() if task.scenario == scenario) or "none"
    raise NotThere(
        tr(
            "scenario {scenario} has no exercise {number}; there are {numbers}",
            scenario=scenario,
            number=number,
            numbers=numbers,
        )
    )


@cache
def _common_ends(scenario: int, number: int) -> tuple[Verdict, ...]:
    """Tell what `ends` tells of an exercise in the common world: each world of a learner's own is compared with it."""
    return exercise(scenario, number).ends()


def _in_own_world(task: Exercise, seed: str) -> Exercise:
    """Set a task in the world of a seed, and try whether it is as hard there. Raises: SeedError."""
    own = own_world(seed)
    version = replace(task, **own.choose([{}, *task.other]))
    texts = ("task", "hint", "before", "solution", "only", "without", "keep")
    moved = replace(version, seed=seed, **{name: own.retell(getattr(version, name)) for name in texts})
    alike = moved.ends() == _common_ends(task.scenario, task.number)
    if not alike or (moved.solution and not moved.judge(moved.solution)[0]):
        raise SeedError(
            tr(
                "exercise {scenario}.{task} is not the same task in the world of {seed!r}",
                scenario=task.scenario,
                task=task.number,
                seed=seed,
            )
        )
    return replace(moved, task=f"{moved.task}\n\n{moved.introduced()}")


def exercise_of(name: str, scenario: int, number: int) -> Exercise:
    """Return an exercise for a learner, in the first of the worlds NAME, NAME~2, NAME~3 ... that is as hard for it.

    Raises: NotThere for no such exercise; SeedError when twenty are refused, or for a name that is no seed.
    """
    for seed in (name, *(f"{name}~{again}" for again in range(2, 21))):
        with suppress(SeedError):
            return exercise(scenario, number, own_world(seed).seed)
    raise SeedError(
        tr(
            "exercise {scenario}.{number} has no world of its own for {name!r}",
            scenario=scenario,
            number=number,
            name=name,
        )
    )
