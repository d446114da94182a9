"""Every exercise can be solved as its solution says, is not solved by doing nothing, and says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcnilib.scenarios.exercise import Exercise, exercise, exercises


@pytest.mark.parametrize("one", exercises(), ids=lambda one: f"{one.scenario}.{one.number}")
def test_the_solution_solves_it_and_doing_nothing_does_not(one: Exercise) -> None:
    assert one.judge(one.solution)[0]
    assert not one.judge("")[0]


@pytest.mark.parametrize(
    ("which", "answer", "says"),
    [
        ((7, 1), "node1: iptables -D KUBE-FORWARD 1", "must stay on node1"),
        ((7, 1), "node2: ip route add 172.16.100.2 via 172.16.1.2 dev en0", "only node1 may be changed"),
        ((7, 2), "node2: iptables -D KUBE-FORWARD 1", "'iptables' may not be used"),
        ((7, 2), "node2: ip route add 172.16.100.2 via 172.16.1.2 dve en0", "did you mean 'dev'"),
        ((7, 2), "node9: ip route add 172.16.100.2 dev en0", "no network namespace 'node9'"),
        ((7, 3), "iptables -D KUBE-FORWARD 1", "expected `NAMESPACE: COMMAND`"),
        ((7, 3), "node2: iptables -D KUBE-FORWARD 1", "is dropped on node1"),
        ((7, 3), "# only a comment", "is dropped on node1"),
        (
            (14, 1),
            "mul2: ip route add 172.16.1.96/28 via 169.254.1.1 dev eth0",
            "but client dialled",
        ),  # the other client is not served
    ],
)
def test_a_wrong_answer_is_told_why(which: tuple[int, int], answer: str, says: str) -> None:
    done, text = exercise(*which).judge(answer)
    assert not done
    assert says in text


def test_check_prints_and_never_raises(capsys) -> None:
    exercise(7, 1).check("nonsense")
    exercise(7, 1).solve()
    printed = capsys.readouterr().out
    assert "✘ not yet" in printed and "✔ done" in printed


def test_a_command_may_show_something_and_counts_as_no_change(capsys) -> None:
    exercise(7, 2).check("node1: iptables-save -t raw\nnode1: ip rule")
    printed = capsys.readouterr().out
    assert "node1# ip rule\n0:\tfrom all lookup local\n1000:\tfrom all lookup 500\n" in printed
    assert "may not be used" not in printed
    assert printed.startswith("You looked, and changed nothing: below is what was printed.\nnode1# iptables-save")
    assert "not yet" not in printed


def test_without_a_command_it_is_said_that_nothing_is_changed_and_how_the_conversation_ends(capsys) -> None:
    exercise(7, 2).check("# node2: ...")
    assert capsys.readouterr().out.startswith("Nothing is changed yet: connect succeeds, then hangs: packet 3 (ACK)")


@pytest.mark.parametrize("one", exercises(), ids=lambda one: f"{one.scenario}.{one.number}")
def test_help_begins_with_the_hint_and_ends_with_the_solution(one: Exercise, capsys) -> None:
    hint, begins, whole = one.hints()
    assert hint == one.hint
    commands = one.solution.strip().splitlines()
    assert begins.count("…") == len(commands)
    assert all(f"`{command.strip()}`" in whole and command.strip() not in begins for command in commands)
    one.help()
    one.help(2)
    one.help(4)
    assert capsys.readouterr().out == f"{hint}\n{begins}\nno hint for this one\n"


def test_a_learners_copy_has_the_hint_alone() -> None:
    assert replace(exercise(7, 1), solution="").hints() == (exercise(7, 1).hint,)
