"""What a notebook shows: the panel of a scenario, with what the recorded run of the real kernel says about its state.

The one place, beside the command line, that knows both how a run looks and whether it is true.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcnilib.cluster.build import build
from mcnilib.cluster.settings import Settings
from mcnilib.cluster.spec import CLUSTER
from mcnilib.kernel.compare.record import checked
from mcnilib.language import spoken
from mcnilib.repair.advice import advise
from mcnilib.repair.case import ScenarioCase
from mcnilib.repair.report import told
from mcnilib.scenarios.link import link_language, parse_link
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.picture.map import Map
from mcnilib.show.widgets.conclusion import ConclusionPanel
from mcnilib.show.widgets.panel import Panel
from mcnilib.show.widgets.player import Player, StepPicture
from mcnilib.show.widgets.side_by_side import SideBySide
from mcnilib.show.widgets.snapshot_panel import SnapshotPanel
from mcnilib.show.widgets.state_browser import StateBrowser
from mcnilib.snapshots.snapshot import Snapshot


def explore(
    story: Scenario | str,
    scale: float = 1.0,
    *,
    everything: bool = False,
    painter: str = "svg",
    lang: str = "",
    **start: object,
) -> Panel:
    """Return a panel: the scenario's settings, the picture, the verdict, the steps and the deciding state.

    `story` is a scenario, or the link of a state as `mcni link` and every panel print it. `start` changes settings to
    begin with, as `kube_proxy="1.30"`; `scale` enlarges everything for a projector. `everything` draws also machines
    and pods that play no part; `painter="matplotlib"` shows figures instead of SVG. `lang` is the panel's language, for
    what is said later, too; "" is the one of the link, or of `speak`.
    Raises: SettingError for a setting or value that does not exist, naming the nearest one; PictureError for a painter
    that does not exist.
    """
    shown, settings = parse_link(story) if isinstance(story, str) else (story, story.start())
    with spoken(lang or (link_language(story) if isinstance(story, str) else "")):
        return Panel(shown, settings.but(**start), scale, checked, everything=everything, painter=painter)


def play(story: Scenario, scale: float = 1.0, *, lang: str = "", **start: object) -> Player:
    """Return a scenario that plays by itself: each step in turn up to the one that decides, then the whole picture.

    `start` changes settings to begin with, as `kube_proxy="1.30"`; `scale` enlarges everything for a projector.
    Raises: SettingError for a setting or value that does not exist, naming the nearest one.
    """
    with spoken(lang):
        return Player(story, story.start().but(**start), scale)


def step_picture(
    story: Scenario, packet: int, netns: str, what: str, *, lang: str = "", **start: object
) -> StepPicture:
    """Return the picture of one step: the first of a packet in `netns` whose place or action contains `what`.

    Packets are counted from 1; `what` is for instance `route`, `device`, `DNAT` or `INVALID`; `start` changes settings.
    Raises: SettingError for a setting or value that does not exist; when shown, PictureError for a step there is not.
    """
    with spoken(lang):
        return StepPicture(story, story.start().but(**start), packet, netns, what)


def ask(
    snapshot: Snapshot,
    netns: str,
    to: str,
    listen: Sequence[str] = (),
    source: str = "",
    scale: float = 1.0,
    lang: str = "",
    *,
    size: int | tuple[int, int] = 0,
    patience: float = 5.0,
) -> SnapshotPanel:
    """Return the panel of a snapshot: a question, the picture, the steps, the deciding state, and what-if.

    `netns` is a network namespace or one of its addresses, or `outside:ADDRESS@SEGMENT`; `to` as in `tcp:10.0.0.1:80`,
    with `@outside` behind it for a machine that was not collected; `listen` servers as in `web:80` beside those that
    were collected. `size` is how many bytes client and server send, or (request, answer); 0 leaves it to the protocol.
    `patience` is how many seconds the client waits. Raises: NotThere for a namespace that is not there.
    """
    sizes = (size, size) if isinstance(size, int) else size
    with spoken(lang):
        return SnapshotPanel(snapshot, netns, to, listen, source, scale, sizes=sizes, patience=patience)


def fix(story: Scenario, *, lang: str = "", **start: object) -> None:
    """Print what would make a scenario's conversation work, with its commands, and what each of them would break.

    `start` changes settings to begin with, as `kube_proxy="1.30"`.
    Raises: SettingError for a setting or value that does not exist, naming the nearest one.
    """
    settings = story.start().but(**start)
    with spoken(lang):
        print(*told(advise(ScenarioCase(story, settings), story.run(settings))), sep="\n")


def conclusion(scale: float = 1.0, *, lang: str = "", **start: object) -> ConclusionPanel:
    """Return the guide's conclusion, computed: who reaches whom; a cell's button shows the conversation behind it.

    `start` changes settings to begin with, as `nat_outgoing=False`; `scale` enlarges everything for a projector.
    Raises: SettingError for a setting or value that does not exist, naming the nearest one.
    """
    with spoken(lang):
        return ConclusionPanel(Settings().but(**start), scale, remark=checked)


def cluster_map(lang: str = "") -> Map:
    """Return the map of the one cluster: machines, pods, segments and addresses, as a picture and in words."""
    with spoken(lang):
        return Map(build(Settings()))


def look_around(scale: float = 1.0, *, lang: str = "", **settings: object) -> StateBrowser:
    """Return a walk through the cluster: choose a pod or a node, and read its state with who wrote each line and why.

    `settings` builds the cluster otherwise, as `encapsulation="VXLAN"`; `scale` enlarges everything for a projector.
    Raises: SettingError for a setting or value that does not exist, naming the nearest one.
    """
    with spoken(lang):
        return StateBrowser(build(Settings().but(**settings)), CLUSTER, scale)


def side_by_side(story: Scenario, scale: float = 1.0, *, lang: str = "", **toggles: object) -> SideBySide:
    """Return two runs of a scenario beside each other: as it starts, and with `toggles` changed.

    The first step that differs is marked in both pictures; below stand that step and the lines of state that differ.
    Raises: SettingError for a setting or value that does not exist, naming the nearest one.
    """
    with spoken(lang):
        return SideBySide(story, story.start(), story.start().but(**toggles), scale)
