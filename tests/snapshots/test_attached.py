"""What is attached to devices and hooks: what may drop or redirect packets is named where they meet it."""

from __future__ import annotations

import pytest
from test_collected import outcome
from test_notes import asked, whole

from mcnilib.trace.explain import verdict

NET = "net:[4026532001]\nxdp:\n{xdp}\ntc:\n{tc}\nflow_dissector:\n\nnetfilter:\n{hooks}\n{links}"
"""What readlink, bpftool net and bpftool link print."""


def bpf(xdp: str = "", tc: str = "", hooks: str = "", links: str = "") -> str:
    """Print the programs of a machine, one kind after the other."""
    return NET.format(xdp=xdp, tc=tc, hooks=hooks, links=links)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        pytest.param("tc.txt", "qdisc noqueue 0: dev v0 root refcnt 2 \n", "", id="no queue"),
        pytest.param("tc.txt", "qdisc pfifo_fast 0: dev v0 root refcnt 2 bands 3 priomap 1 2 2 2 1 2 0 0\n", "", id="the default"),
        pytest.param("tc.txt", "qdisc fq_codel 0: dev v0 root refcnt 2 limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32Mb ecn drop_batch 64 \n", "", id="a queue with room"),
        pytest.param("tc.txt", "qdisc fq 8001: dev v0 root refcnt 2 limit 0p flow_limit 100p buckets 1024\n", "v0 has a qdisc fq", id="a queue without room"),
        pytest.param("tc.txt", "qdisc fq_codel 1: dev v0 root refcnt 2 limit 10240p flows 1024 memory_limit 100b ecn\n", "v0 has a qdisc fq_codel", id="a queue of 100 bytes"),
        pytest.param("tc.txt", "qdisc bfifo 8001: dev v0 root refcnt 3 limit 1b\n", "the frame leaves through v0: node/tc.txt:1: v0 has a qdisc bfifo, which is not modelled", id="a queue of one byte"),
        pytest.param("tc.txt", "qdisc tbf 8001: dev v0 root refcnt 2 rate 1Kbit burst 10b lat 1us \n", "v0 has a qdisc tbf", id="a token bucket"),
        pytest.param("tc.txt", "qdisc netem 8001: dev v0 root refcnt 2 limit 1000 loss 100%\n", "v0 has a qdisc netem", id="loss"),
        pytest.param("tc.txt", "qdisc htb 1: [offloaded] dev v0 root refcnt 2 r2q 10 default 0x30\n", "v0 has a qdisc htb", id="classes"),
        pytest.param("tc.txt", "qdisc tbf 8001: dev eth0 root refcnt 2 rate 1Kbit\n", "", id="on another device"),
        pytest.param("tc-filter.txt", "v0 filter parent 1: protocol ip pref 1 u32 chain 0 \nv0   match 0a070001/ffffffff at 16\n", "v0 has filters in tc", id="filters"),
        pytest.param("bpf.txt", bpf(), "", id="no program"),
        pytest.param("bpf.txt", bpf(tc="v0(7) tcx/ingress cil_from_container prog_id 4 link_id 2 "), "v0 has a BPF program (tc, tcx/ingress)", id="tcx"),
        pytest.param("bpf.txt", bpf(xdp="v0(7) driver id 5"), "v0 has a BPF program (xdp, driver)", id="XDP"),
        pytest.param("bpf.txt", bpf(tc="eth0(2) tcx/egress x prog_id 4"), "", id="tcx on another device"),
        pytest.param("bpf.txt", bpf(hooks="\n\tip input prio -300 prog_id 9"), "a BPF program is at the hook input", id="a program at a hook"),
        pytest.param("bpf.txt", bpf(hooks="\n\tip forward prio 0 prog_id 9"), "", id="a program at a hook that no packet meets"),
        pytest.param("bpf.txt", bpf(hooks="\n\tip6 input prio 0 prog_id 9"), "", id="a program for IPv6"),
        pytest.param("bpf.txt", bpf(links="\tnetns_ino 4026532001  attach_type sk_lookup  \n"), "a BPF program (sk_lookup) chooses sockets", id="sk_lookup"),
        pytest.param("bpf.txt", bpf(links="\tnetns_ino 4026531840  attach_type sk_lookup  \n"), "", id="sk_lookup in another namespace"),
        pytest.param("bpf.txt", bpf(links="\tnetns_ino 4026532001  attach_type flow_dissector  \n"), "", id="a flow dissector"),
    ],
)  # fmt: skip
def test_what_is_attached_is_named_where_a_packet_meets_it(file: str, text: str, says: str) -> None:
    said = outcome(whole() | {f"node/{file}": text}, "tcp:10.0.0.1:80")
    assert said.startswith("unknown beyond" if says else "connected")
    assert says in said


@pytest.mark.parametrize(
    ("kind", "told", "says"),
    [
        pytest.param("noqueue", None, "", id="no queue"),
        pytest.param("fq_codel", None, "", id="a queue with room"),
        pytest.param(
            "tbf", None, "node/ip-address.txt:7: v0 has a qdisc tbf", id="a token bucket, and tc was not asked"
        ),
        pytest.param("tbf", "qdisc noqueue 0: dev v0 root refcnt 2\n", "", id="tc knows better"),
    ],
)
def test_the_queue_that_ip_names_counts_where_tc_was_not_asked(kind: str, told: str | None, says: str) -> None:
    files = whole()
    files["node/ip-address.txt"] = files["node/ip-address.txt"].replace(
        "qdisc noqueue state UP", f"qdisc {kind} state UP"
    )
    said = outcome(files | ({"node/tc.txt": told} if told else {}), "tcp:10.0.0.1:80")
    assert said.startswith("unknown beyond" if says else "connected")
    assert says in said


def test_what_comes_in_does_not_meet_the_queue_of_what_leaves() -> None:
    queue = {"pod/tc.txt": "qdisc tbf 8001: dev eth0 root refcnt 2 rate 1Kbit burst 10b lat 1us \n"}
    known = {"pod/ip-neigh.txt": "10.0.0.1 dev eth0 lladdr 02:00:00:00:00:02 PERMANENT \n"}
    known |= {"node/ip-neigh.txt": "10.0.0.2 dev v0 lladdr 02:00:00:00:00:03 PERMANENT \n"}
    said = verdict(asked(whole() | queue | known, "udp:10.0.0.2:80", "node", "pod:80"))
    assert "the packet leaves through eth0" in said
    assert "packet 2 (UDP) got to pod, but " in said


OLD = "xdp:\n\ntc:\n\nflow_dissector:\n\n"
"""What bpftool net prints before Linux 6.4."""


@pytest.mark.parametrize(
    ("release", "shown", "said"),
    [
        pytest.param("6.8.0-45-generic\n", None, True, id="no bpftool"),
        pytest.param("6.8.0-45-generic\n", OLD, True, id="an old bpftool"),
        pytest.param("6.8.0-45-generic\n", bpf(), False, id="bpftool shows them all"),
        pytest.param("5.4.0-100\n", None, False, id="a kernel that has none"),
        pytest.param(None, None, False, id="nobody knows which kernel"),
    ],
)
def test_programs_that_no_tool_shows_are_said_once(release: str | None, shown: str | None, said: bool) -> None:
    files = {"uname.txt": release, "bpf.txt": shown}
    here = {f"{netns}/{name}": text for netns in ("node", "pod") for name, text in files.items() if text is not None}
    notes = [note for note in asked(whole() | here).notes if "BPF" in note]
    assert len(notes) == said
    assert all(note.startswith("not collected on pod, node: ") for note in notes)
