"""Exercises on a page: what is typed is judged as in the notebooks, and answered in words, lines and a picture."""

from __future__ import annotations

import json
import re

import pytest
from show_examples import text_of

from mcnilib.language import PSEUDO
from mcnilib.scenarios.exercise import exercise, exercises
from mcnilib.show.practice import practise
from mcnilib.show.verbs import answer


def attempt(number: tuple[int, int], typed: str) -> dict:
    asked = {"scenario": number[0], "number": number[1], "answer": typed}
    return json.loads(answer("attempt", json.dumps(asked)))


def helped(number: tuple[int, int], step: int) -> dict:
    return json.loads(answer("help", json.dumps({"scenario": number[0], "number": number[1], "help": step})))


@pytest.mark.parametrize("task", exercises(), ids=lambda task: f"{task.scenario}.{task.number}")
def test_a_solution_is_judged_solved_with_its_picture_and_what_it_changed(task):
    shown = attempt((task.scenario, task.number), task.solution)
    assert shown["done"]
    assert text_of(shown["says"]).startswith("✔ Solved. The conversation ")
    assert shown["picture"].startswith("<svg")
    assert "lines of state that differ" in shown["state"]


@pytest.mark.parametrize("task", exercises(), ids=lambda task: f"{task.scenario}.{task.number}")
def test_what_solves_it_is_a_picture_in_a_notebook_with_the_reason_why_it_works(task, capsys):
    solved = practise(task.scenario, task.number).solve()
    shown = solved._repr_mimebundle_()
    assert re.match("They part at packet |Every packet goes the same way", shown["text/plain"])
    assert shown["text/plain"] in text_of(shown["text/html"])
    assert "<svg" in shown["text/html"]
    assert "✔ done: " in capsys.readouterr().out
    assert practise(task.scenario, task.number).check("") is None


@pytest.mark.parametrize(
    ("number", "act"),
    [
        ((1, 1), lambda task: task.check("")),  # nothing is changed yet
        ((1, 1), lambda task: task.check("node1 ip rule")),  # a line that is wrong
        ((1, 1), lambda task: task.help(1)),
        ((1, 1), lambda task: task.help(2)),
        ((1, 1), lambda task: task.help(9)),
        ((1, 1), lambda task: print(task.judge("")[1])),
        ((1, 1), lambda task: print(task.solve())),
    ],
)
def test_an_exercise_speaks_its_language_though_nothing_else_does(number, act, capsys):
    act(practise(*number, lang=PSEUDO))
    assert re.search("[áéíóú]", capsys.readouterr().out)
    act(practise(*number))
    assert not re.search("[áéíóú]", capsys.readouterr().out)


def test_what_solves_it_is_shown_in_its_language():
    shown = practise(1, 1, lang=PSEUDO).solve()._repr_mimebundle_()
    assert all(re.search("[áéíóú]", text) for text in shown.values())


def test_the_message_speaks_of_the_conversations_that_were_asked_for():
    done, says = exercise(16, 1).judge(exercise(16, 1).solution)
    assert done
    assert says.splitlines() == [
        "Macvlan pod to Calico pod, across nodes: connected; the server sees the client as 172.16.100.2",
        "Macvlan pod to the Calico address of a multi-NIC pod: connected; the server sees the client as 172.16.100.2",
    ]
    assert "Macvlan pod to Calico pod, across nodes: connected" in text_of(
        attempt((16, 1), exercise(16, 1).solution)["says"]
    )


@pytest.mark.parametrize(
    ("number", "typed", "says"),
    [
        (
            (7, 1),
            "",
            "Nothing is changed yet. The conversation should work in the end, and does not.✗ connect succeeds, then hangs",
        ),
        ((6, 1), "", "Nothing is changed yet. The conversation should fail in the end, and does not.✓ connected"),
        ((7, 1), "node1: iptables -D KUBE-FORWARD 1", "-j DROP must stay on node1✓ connected"),
        ((7, 2), "node2: iptables -D KUBE-FORWARD 1", "✘ Not yet. 'iptables' may not be used✗ connect succeeds"),
        (
            (14, 1),
            "mul2: ip route add 172.16.1.96/28 via 169.254.1.1 dev eth0",
            "“Outside client to the NodePort of a multi-NIC pod” should work in the end, and does not.",
        ),
    ],
)
def test_what_does_not_solve_it_is_told_why(number, typed, says):
    shown = attempt(number, typed)
    assert not shown["done"]
    assert says in text_of(shown["says"])
    assert shown["picture"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("# nothing\n\nnode1: iptables -t rew -A X", "✘ Line 3: node1: iptables -t rew -A Xiptables: table 'rew' does not exist"),
        ("node1: ip rule\nip route add", "✘ Line 2: ip route addexpected `NAMESPACE: COMMAND`"),
        ("node9: ip rule", "✘ Line 1: node9: ip ruleno network namespace 'node9'"),
        ("node1: ip route add 1.1.1.1 dve en0", "did you mean 'dev'"),
        ("node1: <b>x</b>", "✘ Line 1: node1: <b>x</b>'<' in '<b>x</b>' is for a shell"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_nothing_is_carried_out(typed, says):
    shown = attempt((7, 1), typed)
    assert says in text_of(shown["says"])
    assert "<b>x" not in shown["says"]
    assert (shown["done"], shown["picture"], shown["state"]) == (False, "", "")


def test_a_command_that_shows_something_is_answered_with_it_as_it_then_stands():
    table = "node1: ip route show table 500"
    shown = attempt((6, 1), f"{table}\nnode1: ip route del 172.16.100.2 table 500\n{table}")
    before, after = text_of(shown["printed"]).split("node1# ip route show table 500")[1:]
    assert "172.16.100.2 dev veth0d9c208d4c7" in before
    assert "172.16.100.2 dev veth0d9c208d4c7" not in after
    assert shown["done"]  # to look is no change: "iptables" and others may be forbidden, shown they may be
    assert attempt((7, 2), f"node1: iptables-save -t raw\n{exercise(7, 2).solution}")["done"]


def test_a_mere_look_is_answered_with_what_was_printed_and_no_judgement():
    shown = attempt((7, 2), "node1: ip rule")
    assert text_of(shown["says"]) == "You looked, and changed nothing: below is what was printed."
    assert "from all lookup 500" in text_of(shown["printed"])
    assert not (shown["done"] or shown["picture"])


def test_on_a_phone_the_picture_is_narrow():
    asked = {"scenario": 7, "number": 2, "answer": exercise(7, 2).solution}
    widths = [
        int(re.search(r'viewBox="0 0 (\d+)', json.loads(answer("attempt", json.dumps(asked | more)))["picture"])[1])
        for more in ({}, {"narrow": True})
    ]
    assert widths[1] < 400 < widths[0]


def test_help_comes_in_steps_and_ends_with_the_solution():
    steps = [helped((7, 1), step) for step in (1, 2, 3, 4)]
    assert [step["more"] for step in steps] == [True, True, False, False]
    texts = [text_of(step["help"]) for step in steps]
    assert texts[0] == exercise(7, 1).hint
    assert texts[1] == "One solution is one command: node1: iptables -t raw -I PREROUTING …."
    assert texts[2] == f"A solution: {exercise(7, 1).solution}"
    assert texts[3] == ""


def test_an_exercise_that_does_not_exist_is_named():
    assert attempt((7, 9), "")["error"] == "scenario 7 has no exercise 9; there are 1, 2, 3"
