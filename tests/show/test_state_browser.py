"""Looking around the cluster: whose state is offered, that all of it is shown, and that every line names its writer."""

from __future__ import annotations

import ipywidgets as widgets
import pytest
from show_examples import text_of

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Settings
from mcnilib.cluster.spec import PodKind
from mcnilib.errors import McniError
from mcnilib.notebook import look_around
from mcnilib.show.html.netns_state import look_into, netns_html, state_text
from mcnilib.show.widgets.state_browser import StateBrowser
from mcnilib.world.commands import do
from mcnilib.world.listing import listing

WORLD = build(Settings())
EVERYBODY = [netns.name for netns in WORLD]
COORDINATOR = "# the coordinator: "


@pytest.fixture
def browser() -> StateBrowser:
    return look_around()


def noted(name: str, command: str) -> list[tuple[str, str]]:
    """Return the lines of one command in a namespace, with their remarks."""
    found = [part.lines for part in look_into(WORLD[name]) if part.command == command]
    return [(line.text.strip(), line.note) for lines in found for line in lines]


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        (
            PodKind.MACVLAN,
            {"node1": ("mac1", "mac1b", "mac17"), "node2": ("mac2",), "node3": ("mac3",), "node4": ("mac4",)},
        ),
        (PodKind.CALICO, {"node1": ("cal1",), "node2": ("cal2",), "node3": ("cal3",)}),
        (PodKind.MULTI, {"node1": ("mul1",), "node2": ("mul2",)}),
        (None, {node: (node,) for node in ("node1", "node2", "node3", "node4")}),
    ],
)
def test_only_nodes_that_have_such_a_pod_are_offered(browser, kind, nodes):
    browser.kind.value = kind
    assert browser.namespaces() == nodes
    assert browser.node.options == tuple(nodes)
    for node, names in nodes.items():
        browser.node.value = node
        assert (browser.who.options, browser.who.disabled) == (names, len(names) == 1)
        assert browser.state.value == netns_html(WORLD[names[0]])


@pytest.mark.parametrize(
    ("node", "kind", "then"),
    [("node2", PodKind.MULTI, "mul2"), ("node3", PodKind.MULTI, "mul1"), ("node4", None, "node4")],
)
def test_another_kind_stays_on_the_node_if_it_can(browser, node, kind, then):
    browser.node.value = node
    browser.kind.value = kind
    assert browser.who.value == then
    assert browser.summary().startswith(f"{then}: ")
    assert browser.state.value == netns_html(WORLD[then])


def test_each_pod_of_a_node_can_be_chosen(browser):
    browser.who.value = "mac17"
    assert browser.summary() == "mac17: Macvlan pod on node1, 172.17.1.150"
    assert "mac17# ip rule" in browser.state.value
    assert "mac17: Macvlan pod on node1" in browser.about.value


@pytest.mark.parametrize(
    ("name", "command", "line", "writer"),
    [
        (
            "mac1",
            "ip rule",
            "1000:\tfrom all fwmark 0x1 lookup 100",
            "the coordinator: replies to connections that came in through veth0",
        ),
        ("mac1", "ip route show table main", "default via 172.16.0.1 dev eth0", "Spiderpool IPAM: "),
        (
            "mac1",
            "iptables-save -t mangle",
            "-A PREROUTING -i veth0 -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0xffffffff",
            "the coordinator: ",
        ),
        (
            "cal1",
            "ip route show table main",
            "169.254.1.1 dev eth0 scope link",
            "the Calico CNI: an address that no machine has",
        ),
        ("mul2", "ip rule", "32764:\tfrom 10.233.101.3 lookup 100", "the coordinator: packets with eth0's address"),
        (
            "node1",
            "ip route show table 500",
            "172.16.100.2 dev veth0d9c208d4c7 scope link",
            "the coordinator: the node cannot reach mac1",
        ),
        ("node1", "sysctl (changed from the default)", "net.ipv4.ip_forward = 1", "Felix "),
        ("node1", "iptables-save -t filter", "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP", "kube-proxy "),
    ],
)
def test_a_line_says_who_wrote_it_and_why(name, command, line, writer):
    assert [note for text, note in noted(name, command) if text == line and note.startswith(writer)]


@pytest.mark.parametrize("name", EVERYBODY)
def test_everything_a_namespace_holds_is_shown_once_and_each_line_has_a_writer(name):
    netns, shown = WORLD[name], {part.command: part for part in look_into(WORLD[name])}
    routes = [
        line for command, part in shown.items() if command.startswith("ip route") for line in part.lines if line.text
    ]
    assert len(routes) == len(netns.ip4.routes)
    rules = [
        line
        for command, part in shown.items()
        if command.startswith("iptables")
        for line in part.lines
        if line.text[:2] == "-A"
    ]
    assert len(rules) == sum(len(chain.rules) for table in netns.ip4.tables for chain in table.chains)
    devices = [line for line in shown["ip -d address"].lines if not line.text.startswith(" ")]
    assert [line.text.split(":")[1].strip().split("@")[0] for line in devices] == [link.name for link in netns.links]
    others = [line for command in ("ip rule", "ip neigh") if command in shown for line in shown[command].lines]
    assert len(others) == len(netns.ip4.rules) + len(netns.ip4.neighbours)
    assert ("ipset save" in shown) == bool(netns.sets)
    assert all(line.note for line in (*routes, *rules, *devices, *others))


def test_what_nobody_wrote_is_left_out():
    written = [text for text, _ in noted("node1", "sysctl (changed from the default)")]
    assert "net.ipv4.conf.en0.send_redirects = 0" in listing(WORLD["node1"], "sysctl -a")
    assert not [text for text in written if ".en0." in text]
    assert not noted("cal1", "ip neigh")


@pytest.mark.parametrize(("name", "leads"), [("mac1", False), ("mul1", True)])
def test_a_table_that_no_rule_looks_up_is_called_so(name, leads):
    remarks = [note for _, note in noted(name, "ip route show table 101")]
    assert ("no rule leads to this table" in remarks) is not leads


def test_a_line_the_reader_typed_names_the_reader():
    world = do(WORLD, "mac1", "ip route add 1.1.1.1 via 172.16.1.2 dev veth0")
    assert [
        line for line in state_text(world["mac1"]) if "1.1.1.1" in line and line.endswith("# you: typed as a command")
    ]


def test_the_columns_of_a_listing_stand_below_each_other():
    rules = [line.partition("  # ")[0] for line in state_text(WORLD["node1"]) if "from all lookup" in line]
    assert [line.index("from") for line in rules] == [10] * 4
    assert "\t" in listing(WORLD["node1"], "ip rule") and "\t" not in "".join(state_text(WORLD["node1"]))
    assert "\t" not in netns_html(WORLD["node1"])


def test_one_short_listing_is_seen_at_first_and_the_others_say_what_they_are_about():
    page = netns_html(WORLD["node1"])
    assert page.count("</details>") == len(look_into(WORLD["node1"]))
    shown = page.partition("<details open>")[2]
    assert (
        shown.startswith("<summary><code>node1# ip rule</code>  which routing tables are asked")
        and "<details open>" not in shown
    )
    abouts = [part.about for netns in WORLD for part in look_into(netns)]
    assert not [about for about in abouts if "," not in about], "a listing nobody explains"
    assert "-j cali-FORWARD" in text_of(page) and "&lt;BROADCAST" in page and "<BROADCAST" not in page


def test_it_is_made_of_lists_a_keyboard_can_use_and_speaks_when_something_changes(browser):
    lists = (browser.kind, browser.node, browser.who)
    assert all(isinstance(one, widgets.Dropdown) for one in lists)
    assert [one.description for one in lists] == ["pod kind", "node", "look into"]
    assert 'role="status"' in browser.about.value


def test_a_viewer_without_a_kernel_gets_the_words(browser):
    browser.kind.value = PodKind.MULTI
    bundle = browser._repr_mimebundle_()
    text = (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"]
    assert text.splitlines()[0] == "mul1: Calico + Macvlan pod on node1, 10.233.100.5, 172.16.100.5"
    assert f"from 10.233.100.5 lookup 100  {COORDINATOR}" in text


def test_the_cluster_can_be_built_otherwise():
    browser = look_around(encapsulation="VXLAN")
    browser.kind.value = None
    assert "vxlan.calico" in browser.state.value
    with pytest.raises(McniError, match="encapsulation"):
        look_around(encapsulaton="VXLAN")
