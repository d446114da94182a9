"""What the page of one's own cluster is told: what is in the files, and the same answers as everywhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from small_worlds import namespace

from mcnilib.progress import LOT, passing, watched
from mcnilib.scenarios import scenario
from mcnilib.show.html.table import rows, table_html
from mcnilib.show.inquiry import Inquiry
from mcnilib.show.verbs import answer
from mcnilib.snapshots.snapshot import Snapshot, open_files
from mcnilib.world.world import World

EXAMPLE = {"example": True}
ASKED = {"netns": "mac1", "to": "tcp:10.233.101.2:80"}
STREAM = "mcni-snapshot 1 node9\n@ web\tcni-1\n> ip-rule.txt\n 0:\tfrom all lookup local\n =0\nend\n"
BY_CHANCE = "node1: iptables -D KUBE-FORWARD 1\nnode1: iptables -I FORWARD -s 172.16.100.2 -m statistic --mode random --probability 0.5 -j DROP"


def told(verb: str, **asked: object) -> dict:
    return json.loads(answer(verb, json.dumps({"given": EXAMPLE, **asked})))


def test_the_example_begins_with_its_question_and_offers_whom_to_ask():
    found = told("open")
    assert found["start"] == ASKED
    assert found["gaps"] == []
    assert {"value": "mac1", "label": "172.16.100.2"} in found["from"]
    assert {"value": "tcp:10.233.0.100:80", "label": "service demo/web:http"} in found["to"]
    assert {"value": "tcp:10.233.101.2:80", "label": "cal2 listens"} in found["to"]
    assert {"value": "icmp:172.16.100.2", "label": "mac1"} in found["to"]


def test_files_are_read_from_where_the_page_put_them(tmp_path: Path):
    story = scenario("7")
    files = Snapshot(story.world(story.start()), story.listeners(story.start())).files()
    listed = []
    for number, (name, text) in enumerate(files.items()):
        (tmp_path / str(number)).write_text(text)
        listed.append({"name": f"../../etc/{name}", "at": str(tmp_path / str(number))})
    found = told("open", given={"files": listed})
    assert found["start"] == ASKED
    assert [path.name for path in tmp_path.parent.glob("etc*")] == []


@pytest.mark.parametrize("depth", ["hops", "decisions"])
def test_a_question_is_answered_as_everywhere_else(depth):
    story = scenario("7")
    snapshot = open_files(
        {n: t.encode() for n, t in Snapshot(story.world(story.start()), story.listeners(story.start())).files().items()}
    )
    found = Inquiry(**ASKED).ask(snapshot)
    shown = told("ask", question=ASKED, depth=depth)
    assert shown["table"] == table_html(rows(found.trace, depth), depth, fold=False)
    assert "connect succeeds, then hangs" in shown["verdict"]
    assert shown["compared"] == ""
    assert len(shown["packed"]["steps"]) == shown["table"].count("<tr")
    assert "mcni trace SNAPSHOT --from mac1 --to tcp:10.233.101.2:80" in shown["share"]


def test_what_if_is_compared_with_the_snapshot():
    shown = told("ask", question={**ASKED, "commands": "node1: iptables -D KUBE-FORWARD 1"})
    assert "connected" in shown["verdict"]
    assert "Without the commands: connect succeeds, then hangs" in shown["compared"]
    assert "--try &#x27;node1: iptables -D KUBE-FORWARD 1&#x27;" in shown["share"]


def test_of_what_depends_on_chance_each_end_can_be_walked_through():
    question = {**ASKED, "commands": BY_CHANCE}
    first = told("ask", question=question)
    works = told("ask", question=question, end=0)
    assert [first["end"], works["end"]] == [1, 0]
    assert first["ends"][0] == "works"
    assert first["verdict"] == works["verdict"]
    assert first["packed"] != works["packed"]


def test_what_would_help_is_asked_with_the_question_and_can_be_tried_there():
    question = {"netns": "mac1", "to": "tcp:10.233.101.2:80", "source": "", "listen": "", "commands": ""}
    state = json.dumps({"given": EXAMPLE, "question": question})
    found = told("repair", state=state)
    assert re.fullmatch(
        r"\d+ of \d+ changes help\. Each was tried on the model; the first is the best\..*", found["says"]
    )
    tried = re.search(r'data-try="([^"]*)"', found["repairs"])[1]
    assert tried == "node1: iptables -I FORWARD -s 172.16.100.2/32 -d 10.233.101.2/32 -j ACCEPT"
    names = re.findall(r'<button[^>]*aria-label="([^"]*)"', found["repairs"])
    assert len(names) == len({*names}) == found["repairs"].count("<button")  # each button has a name of its own
    then = json.dumps({"given": EXAMPLE, "question": {**question, "commands": tried}})
    assert told("repair", state=then)["says"] == "The conversation works. There is nothing to repair."


def test_what_was_not_collected_is_listed_with_what_to_collect():
    found = told("open", given={"text": STREAM})
    assert "web/ip-route.txt is not in the snapshot; collect `ip -4 route show table all` in web" in found["gaps"]
    shown = told("ask", given={"text": STREAM}, question={"netns": "web", "to": "tcp:10.0.0.1:80"})
    assert "unknown beyond this point" in shown["verdict"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"given": {"text": "hello"}, "question": ASKED},
            "pasted text:1:1: not the output of collect.sh\n  hello\n  ^",
        ),
        ({"given": {"text": STREAM, "segments": "lan"}, "question": ASKED}, "'lan' is not NAME=NETNS/DEVICE"),
        ({"question": {**ASKED, "to": "tcp:10.0.0.1"}}, "did you mean 'icmp:10.0.0.1'?"),
        ({"question": {**ASKED, "netns": "mac9"}}, "did you mean 'mac4'?"),
        ({"question": {**ASKED, "commands": "node1: rm -rf /"}}, "rm"),
    ],
)
def test_what_cannot_be_read_is_said(asked, says):
    assert says in told("ask", **asked)["error"]


def test_long_work_is_told_to_who_watches_and_to_nobody_else():
    heard: list[float] = []
    with watched(heard.append):
        assert [*passing(range(3 * LOT))] == [*range(3 * LOT)]
        assert [*passing([1])] == [1]
    assert heard == [0, 1 / 3, 2 / 3]
    numbers = [*range(3 * LOT)]
    assert passing(numbers) is numbers


def test_pods_and_services_are_offered_by_their_names(tmp_path):
    story = scenario("7")
    files = Snapshot(story.world(story.start())).files() | {
        "pods.txt": "NAMESPACE  NAME   IP\ndefault  web-0  10.233.101.2\n",
        "services.txt": "NAMESPACE  NAME  CLUSTER-IP  PORT(S)\ndefault  shop  10.96.0.7  80/TCP\n",
    }
    given = []
    for number, (name, text) in enumerate(files.items()):
        (tmp_path / str(number)).write_text(text)
        given.append({"name": f"s/{name}", "at": str(tmp_path / str(number))})
    found = json.loads(answer("open", json.dumps({"given": {"files": given}})))
    assert {"value": "tcp:10.96.0.7:80", "label": "service default/shop"} in found["to"]
    assert {"value": "icmp:10.233.101.2", "label": "default/web-0"} in found["to"]
    assert {"value": "cal2", "label": "default/web-0, 10.233.101.2"} in found["from"]
    assert {"value": "cal1", "label": "10.233.100.3"} in found["from"]


def test_a_segment_may_be_told_its_gateway_and_a_question_may_come_from_behind_it(tmp_path: Path):
    node = namespace("node9", "eth0 192.168.0.11/24", "route default via 192.168.0.1 dev eth0")
    listed = []
    for number, (name, text) in enumerate(Snapshot(World((node,))).files().items()):
        (tmp_path / str(number)).write_text(text)
        listed.append({"name": f"here/{name}", "at": str(tmp_path / str(number))})
    segments = "lan=node9/eth0\nlan=192.168.0.1\nlan=192.168.0.240@node9/eth0"
    question = {"netns": "outside:203.0.113.7@lan", "to": "icmp:192.168.0.11"}
    answered = told("ask", given={"files": listed, "segments": segments}, question=question)
    assert "the server sees the client as 203.0.113.7" in answered["verdict"]
