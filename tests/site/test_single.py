"""One state as one HTML file: what it holds before and after its script, what it never asks for, how it is written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from site_elements import Elements

from mcnilib.cli import main
from mcnilib.cluster.settings import Settings
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.show.html.outcome import reasons_html, verdict_lines
from mcnilib.show.html.state import state_around
from mcnilib.show.picture.story_picture import picture_of, plan_for
from mcnilib.show.picture.svg import to_svg
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.site.single import scenario_page

FLAGSHIP = scenario("7")
ASKED = ["--from", "mac1", "--to", "tcp:10.233.101.2:80"]


def walk(depth: str) -> Walkthrough:
    settings = FLAGSHIP.start()
    return Walkthrough(FLAGSHIP.world(settings), FLAGSHIP.run(settings), plan_for(FLAGSHIP, settings), depth)


def drawn(settings: Settings, at: tuple[int, int] | None = None) -> str:
    """Return the two pictures of a step: the width of the window chooses one."""
    wide, narrow = (picture_of(FLAGSHIP, settings, at, narrow=one) for one in (False, True))
    return to_svg(wide) + to_svg(narrow, "mcni-narrow")


def unpacked(packed: dict, ranges: list[int]) -> str:
    return "".join(piece for a, b in zip(ranges[::2], ranges[1::2], strict=True) for piece in packed["pieces"][a:b])


@pytest.fixture(scope="module")
def html() -> str:
    return scenario_page(FLAGSHIP, FLAGSHIP.start().but(kube_proxy="1.30"))


@pytest.mark.parametrize("depth", ["outcome", "hops", "decisions"])
def test_each_step_comes_out_as_it_is_drawn_and_printed_elsewhere(depth):
    shown = walk(depth)
    packed, settings = shown.packed(), FLAGSHIP.start()
    every = [None, *((row.journey, row.index) for row in shown.steps)]
    for at, step in [*zip(every, packed["steps"], strict=True)][:: 1 if depth != "decisions" else 29]:
        assert unpacked(packed, step["picture"]) == drawn(settings, at)
        assert unpacked(packed, step["listing"]) == state_around(shown.world, shown.trace, at)


def test_what_steps_have_in_common_is_kept_once():
    packed = walk("decisions").packed()
    whole = sum(len(unpacked(packed, step[part])) for step in packed["steps"] for part in ("picture", "listing"))
    assert 20 * len(json.dumps(packed)) < whole


def test_the_whole_conversation_is_there_without_a_script(html):
    settings = FLAGSHIP.start().but(kube_proxy="1.30")
    before = html.partition("<script")[0]
    assert drawn(settings) in before
    assert verdict_lines(FLAGSHIP.run(settings)) in before
    assert reasons_html(FLAGSHIP, settings) in before
    assert "mcni run macvlan-to-calico-across-nodes --kube-proxy 1.30" in before
    assert "7-macvlan-to-calico-across-nodes.ipynb" in before
    assert before.count("<tr") == 22


def test_the_file_is_well_formed_and_asks_no_server_for_anything(html):
    elements = Elements()
    elements.feed(html)
    assert elements.open == []
    ids = [values["id"] for _, values in elements.seen if "id" in values]
    assert len(ids) == len(set(ids))
    loaded = {v[key] for tag, v in elements.seen if tag != "a" for key in ("src", "href") if key in v}
    assert loaded == {"data:,"}
    assert not re.search(r"url\(|@import|fetch\(|import\(", html)


def test_only_the_scripts_of_the_file_itself_may_run(html):
    script = html.partition('<script type="module">')[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; " in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize("story", all_scenarios(), ids=lambda story: story.name)
def test_every_scenario_makes_a_file_that_can_be_sent(story):
    assert 20_000 < len(scenario_page(story, story.start())) < 400_000


def test_the_command_says_where_the_file_is_and_how_large(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.html"
    assert main(["page", "7", str(file), "--kube-proxy", "1.30"]) == 0
    assert capsys.readouterr().out == f"{file}: {file.stat().st_size / 1000:.0f} kB\n"
    assert file.read_text() == scenario_page(FLAGSHIP, FLAGSHIP.start().but(kube_proxy="1.30"))
    assert main(["page", "7", str(file), "--depth", "decisions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "bytes": file.stat().st_size}
    assert list(tmp_path.iterdir()) == [file]


def status(words: list[str]) -> object:
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["page", "7", "out.txt"], "'out.txt' must end in .html"),
        (["page", "7", "folder.html"], "folder.html is there already and is no regular file"),
        (["page", "out.html", "7"], "must end in .html"),
        (["page", "7", "nowhere/out.html"], "there is no folder 'nowhere'"),
        (["page", "7", "out.html", "--kube-proxy", "9"], "kube-proxy cannot be '9'"),
        (["page", "nothing", "out.html"], "there is no scenario 'nothing'"),
        (["page", "7", "out.html", "--depth", "deep"], "'deep' is none of"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_written(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    assert status(words) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_a_conversation_through_a_snapshot_is_written_too(tmp_path, capsys):
    assert main(["save", "7", str(tmp_path / "my cluster")]) == 0
    file = tmp_path / "out.html"
    assert main(["trace", str(tmp_path / "my cluster"), *ASKED, "--page", str(file), "--depth", "decisions"]) == 1
    assert "connect succeeds, then hangs" in capsys.readouterr().out
    html = file.read_text()
    assert "<h1>From mac1 to tcp:10.233.101.2:80</h1>" in html
    assert "my cluster&#x27; --from mac1 --to tcp:10.233.101.2:80</code>" in html.replace("</span>", "")
    assert html.count("<tr") > 200
