"""Your own cluster in a browser: what is dropped is read there and nowhere else, and answered as the command line does."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.accessibility import FAULTS
from browser.site_page import SAME, SitePage, new_tab
from mcnilib.scenarios import scenario
from mcnilib.show.inquiry import Inquiry
from mcnilib.show.own_cluster import ask_json
from mcnilib.show.picture.drawing import lay_out
from mcnilib.show.picture.svg import to_svg
from mcnilib.snapshots.folder import script, write_folder
from mcnilib.snapshots.snapshot import Snapshot, open_snapshot

STREAM = "mcni-snapshot 1 node9\n@ web\tcni-1\n> ip-rule.txt\n 0:\tfrom all lookup local\n =0\nend\n"
ASKED = {"netns": "mac1", "to": "tcp:10.233.101.2:80"}
DROP = """async ([name, data]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), letter => letter.charCodeAt())], name));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
PASTE = """text => {
  const transfer = new DataTransfer();
  transfer.setData("text/plain", text);
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
}"""
WATCH = """() => {
  window.shares = [];
  const bar = document.getElementById("bar");
  new MutationObserver(() => shares.push(bar.value)).observe(bar, { attributes: true });
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return the cluster of scenario 7, as a folder."""
    story = scenario("7")
    path = tmp_path_factory.mktemp("own") / "my cluster"
    write_folder(path, Snapshot(story.world(story.start()), story.listeners(story.start())).files())
    return path


@pytest.fixture(scope="module")
def tab(browser, address) -> Iterator[SitePage]:
    with new_tab(browser, address) as opened:
        opened.open("cluster.html")
        yield opened
        assert opened.errors == []
        assert opened.foreign == []


@pytest.fixture
def page(tab):
    tab.open("cluster.html")
    return tab.page


def packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return buffer.getvalue()


def part(page, name: str):
    return page.locator(f"#answer [data-part={name}]")


def drop(page, name: str, data: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(data).decode()])


def answered(page, says: str) -> None:
    expect(part(page, "verdict")).to_contain_text(says, timeout=30_000)


def ask(page, **fields: str) -> None:
    for name, text in fields.items():
        page.locator(f"#{name}").fill(text)
    page.get_by_role("button", name="Follow the packets").click()


def test_a_folder_that_is_chosen_is_answered_as_the_command_line_does(page, folder):
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#reading")).to_contain_text("my cluster: 18 network namespaces", timeout=30_000)
    ask(page, **ASKED)
    answered(page, "✗ connect succeeds, then hangs: packet 3 (ACK) is dropped on node1 in filter KUBE-FORWARD")
    found = Inquiry(**ASKED).ask(open_snapshot(folder))
    wide, narrow = (lay_out(found.world, found.trace, plan) for plan in (found.plan, found.plan.stack()))
    assert part(page, "picture").evaluate(SAME, to_svg(wide, "mcni-own") + to_svg(narrow, "mcni-own-narrow"))
    expect(part(page, "share")).to_contain_text("mcni trace SNAPSHOT --from mac1 --to tcp:10.233.101.2:80")
    for _ in range(9):
        page.locator("body").press("ArrowRight")
    expect(part(page, "where")).to_contain_text("step 9 of 21: 3 ACK, node1: filter KUBE-FORWARD: dropped")
    expect(page.locator("#answer tr[aria-current=step]")).to_contain_text("KUBE-FORWARD")


def test_an_archive_that_is_dropped_is_read_and_asked_what_if(page, folder):
    drop(page, "cluster.tgz", packed(folder))
    expect(page.locator("#reading")).to_contain_text("cluster.tgz: 18 network", timeout=30_000)
    ask(page, **ASKED, commands="node1: iptables -D KUBE-FORWARD 1")
    answered(page, "✓ connected; the server sees the client as 172.16.100.2")
    expect(part(page, "compared")).to_contain_text("Without the commands: connect succeeds, then hangs")
    expect(part(page, "compared")).to_contain_text("First difference: packet 3: node1 filter KUBE-FORWARD")


def test_pasted_text_of_a_node_says_what_nobody_collected(page):
    page.evaluate(PASTE, STREAM)
    expect(page.locator("#reading")).to_contain_text("1 network namespaces", timeout=30_000)
    page.get_by_text("What nobody knows of it").click()
    expect(page.locator("#unknown")).to_contain_text(
        "web/ip-route.txt is not in the snapshot; collect `ip -4 route show table all` in web"
    )
    ask(page, netns="web", to="tcp:10.0.0.1:80")
    answered(page, "unknown beyond this point")
    expect(part(page, "verdict")).to_contain_text("collect")


def test_nothing_is_asked_of_any_server_once_the_page_is_there(tab, folder):
    tab.open("cluster.html")
    expect(tab.page.get_by_text("Nothing leaves this browser")).to_be_visible()
    asked: list[str] = []
    tab.page.context.on("request", lambda request: asked.append(request.url))
    drop(tab.page, "cluster.tgz", packed(folder))
    expect(part(tab.page, "picture").locator("svg").first).to_be_visible(timeout=30_000)
    ask(tab.page, **ASKED, commands="node1: iptables -D KUBE-FORWARD 1")
    answered(tab.page, "172.16.100.2")
    tab.page.get_by_role("button", name="step ▶").click()
    assert asked == []


def test_the_example_is_one_click(page):
    page.get_by_role("button", name="Show me with an example").click()
    answered(page, "connect succeeds, then hangs")
    expect(page.locator("#netns")).to_have_value("mac1")


def test_what_would_help_is_listed_and_tried_here(page, axe):
    page.evaluate(axe)
    page.get_by_role("button", name="Show me with an example").click()
    answered(page, "connect succeeds, then hangs")
    page.get_by_role("button", name="What would help?").press("Enter")
    expect(page.locator("#answer .searched")).to_contain_text("changes help. Each was tried", timeout=60_000)
    assert page.evaluate(FAULTS) == []
    page.locator("#answer .found li").first.get_by_role("button", name="Try it here: 1").press("Enter")
    answered(page, "✓ connected; the server sees the client as 172.16.100.2")
    expect(page.locator("#commands")).to_have_value(re.compile("^node1: iptables -I FORWARD .* -j ACCEPT$"))
    expect(page.locator("#answer .found li")).to_have_count(0)  # it was about another question


def test_all_of_it_goes_by_keyboard(page):
    page.get_by_role("button", name="Show me with an example").focus()
    page.keyboard.press("Enter")
    answered(page, "connect succeeds, then hangs")
    page.locator("#netns").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("cal1")
    page.keyboard.press("Enter")
    answered(page, "✓ connected")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("notes.txt", b"hello", "notes.txt:1:1: not the output of collect.sh\n  hello\n  ^"),
        ("node.txt", STREAM[:-4].encode(), "node.txt:6:1: the stream breaks off: `end` is missing"),
        ("a.tgz", b"\x1f\x8b" + b"\xff" * 100, "a.tgz cannot be unpacked"),
        ("a.xz", b"\xfd7zXZ\x00" + bytes(9), "a.xz cannot be unpacked"),
        ("<img src=x onerror=alert(1)>.txt", b"hello", "<img src=x onerror=alert(1)>.txt:1:1: not the output"),
    ],
)
def test_what_is_no_snapshot_is_named_with_file_line_and_column(tab, name, data, says):
    page = tab.page
    drop(page, name, data)
    expect(page.locator("#wrong")).to_contain_text(says, timeout=30_000)
    assert says in page.locator("#wrong").inner_text()
    expect(page.locator("#asking")).to_be_hidden()


def test_an_archive_that_leads_out_of_itself_is_refused(tab):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../engine/library.zip"))
    drop(tab.page, "evil.tar", buffer.getvalue())
    expect(tab.page.locator("#wrong")).to_have_text(
        "evil.tar: ../engine/library.zip leads out of the archive", timeout=30_000
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"netns": "mac9"}, "no network namespace 'mac9'; there are node1, "),
        ({"to": "sctp:10.0.0.1:80"}, "did you mean 'tcp:10.0.0.1:80'?"),
        (
            {"commands": "node1: iptables -A FORWARD --dport x -p tcp -j DROP"},
            "command:1:28: unknown option '--dport'\n  node1: iptables -A FORWARD --dport x -p tcp -j DROP\n                             ^",
        ),
        ({"commands": "node1 iptables"}, "'node1 iptables' is not NETNS: COMMAND"),
    ],
)
def test_a_field_that_cannot_be_read_is_said_and_the_answer_to_another_question_is_gone(page, fields, says):
    page.get_by_role("button", name="Show me with an example").click()
    answered(page, "connect succeeds, then hangs")
    ask(page, **fields)
    expect(page.locator("#wrong")).to_contain_text(says)
    expect(page.locator("#answer")).to_be_hidden()


def test_a_big_one_is_read_with_a_bar_that_moves(page, folder):
    rules = "".join(
        f"-A INPUT -s 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32 -p tcp -m tcp --dport 80 -j ACCEPT\n"
        for n in range(40_000)
    )
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files["node1/iptables.txt"] = f"*filter\n:INPUT ACCEPT [0:0]\n{rules}COMMIT\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    page.evaluate(WATCH)
    drop(page, "big.tgz", buffer.getvalue())
    expect(page.locator("#reading")).to_contain_text("big.tgz: 18 network", timeout=60_000)
    shares = [share for share in page.evaluate("() => shares") if share]
    assert len({*shares}) > 5
    assert max(shares) > 0.8
    expect(page.locator("#bar")).to_be_hidden()


def test_the_script_that_collects_can_be_had_here(tab):
    answer = tab.page.request.get(f"{tab.address}collect.sh")
    assert answer.text() == script()


def test_chance_is_told_end_by_end(page):
    page.get_by_role("button", name="Show me with an example").click()
    answered(page, "connect succeeds, then hangs")
    rule = "node1: iptables -I FORWARD -s 172.16.100.2 -m statistic --mode random --probability 0.5 -j DROP"
    question = {**ASKED, "commands": f"node1: iptables -D KUBE-FORWARD 1\n{rule}"}
    ask(page, **question)
    answered(page, "it depends")
    told = json.loads(ask_json(json.dumps({"given": {"example": True}, "question": question})))
    expect(page.locator("#end option")).to_have_count(len(told["ends"]))
    expect(page.locator("#end")).to_have_value("1")
    before = part(page, "table").inner_html()
    page.locator("#end").select_option(index=0)
    page.wait_for_function(
        "before => document.querySelector('#answer [data-part=table]').innerHTML !== before", arg=before
    )


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", (1280, 720)), ("dark", (1440, 900)), ("light", (390, 844)), ("dark", (390, 844))]
)
def test_axe_finds_no_fault_before_and_after_an_answer(page, axe, scheme, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    try:
        page.evaluate(axe)
        assert page.evaluate(FAULTS) == []
        page.get_by_role("button", name="Show me with an example").click()
        answered(page, "connect succeeds, then hangs")
        page.get_by_text("More about the conversation").click()
        page.get_by_role("button", name="step ▶").click()
        assert page.evaluate(FAULTS) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})
        page.emulate_media(color_scheme="light")


def test_without_javascript_it_says_what_it_would_do(browser, address):
    with new_tab(browser, address, java_script_enabled=False) as tab:
        tab.page.goto(f"{address}cluster.html")
        expect(tab.page.get_by_text("Nothing leaves this browser")).to_be_visible()
        assert not any(one.is_visible() for one in tab.page.locator("button, input, textarea").all())
