"""The committed notebooks as pages: text and outputs to read without running, and each panel of a scenario alive.

A panel that explores a scenario becomes the article of the explorer, the same that stands on its page; every other
output stays what is committed: words, tables and pictures.
Source: https://nbformat.readthedocs.io/en/latest/format_description.html (version 4).
"""

from __future__ import annotations

import ast
import base64
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mcnilib.cluster.settings import Settings
from mcnilib.errors import MissingExtra
from mcnilib.language import mark, tr, trn
from mcnilib.learner import BADGE, PAGE, SOURCE_PAGES
from mcnilib.scenarios import Scenario, scenario
from mcnilib.scenarios.exercise import Exercise, exercises
from mcnilib.scenarios.link import BINDER
from mcnilib.show.explorer import View
from mcnilib.show.html.markup import Html, element, folded, joined, sentence, void_element
from mcnilib.show.picture.story_picture import picture_of, plan_for, step_at
from mcnilib.show.picture.svg import to_svg
from mcnilib.show.walkthrough import Walkthrough
from mcnilib.site.frame import Page, data_html
from mcnilib.site.workbench import exercise_html

try:
    import mistune
except ImportError:
    raise MissingExtra(tr("a page of a notebook"), "mistune", "site") from None

LONGEST_SHOWN = 6
"""Lines of code that stand above what they print; longer code is folded, and so is code whose output says it all."""

TABLE_RULE = re.compile(r"^-{5,}$", re.MULTILINE)
"""The line below the head of a printed table: its columns are aligned by spaces."""

CHECK = re.compile(r"exercise\((\d+), (\d+)\)\.check\(")
"""How a cell begins that checks what is typed into it."""

TWO_SIDES = mark("Each side has its own controls.")
ONE_SIDE = mark("The controls change B; *compare with this state* keeps what B shows as A.")
"""What a notebook says of its panel of two states, and what is true of the panel on a page."""

HELP = "-help"
"""How the `id` of the cell with the folded hint and solution of an exercise ends, after that of the exercise."""

PRACTICE = re.compile(r'<section class="exercises">.*?</section>', re.DOTALL)
"""The exercises in an article; in a lesson they stand where the lesson has them."""

PIN = 'data-pin="pin"'
"""The button that keeps a state to compare others with; it has no use above a comparison of the same scenario."""

HEADING = re.compile(r"<(h[2-6])>([^<]+)</")
"""A heading of a lesson; its `id` is the one that JupyterLab gives it, so a link leads to it in both."""

PLACES = re.compile(r'(href=")([^":#]+\.(?:ipynb|md))(?=[#"])')
"""Links to other notebooks and to documents, which are relative to the folder of the notebooks."""

FOLDER = "notebooks"
"""Where the pages of the lessons are in the site."""

LITE = "lite"
"""Where JupyterLite is in a site that has it."""

MISSING = mark(
    "This site was written without the notebooks. "
    "They are in a clone of the project: `mcni site` there makes pages of them."
)

NotebookCell = dict[str, Any]
"""A cell of a notebook, as in its file."""


@dataclass(frozen=True)
class Lesson:
    """A notebook: the name of its file without `.ipynb`, its cells, and whether the site has JupyterLite to run it."""

    name: str
    cells: tuple[NotebookCell, ...]
    lite: bool = False

    @property
    def page(self) -> str:
        """The name of its page, in the folder of the lessons."""
        return f"{self.name}.html"

    @property
    def title(self) -> str:
        """The heading of its first cell."""
        return source(self.cells[0]).partition("\n")[0].removeprefix("# ")

    @property
    def binder(self) -> str:
        """The address that opens it on Binder."""
        return f"{BINDER}/{self.name}.ipynb"

    @property
    def run(self) -> str:
        """The address of JupyterLite that opens it, in the site."""
        return f"{LITE}/lab/index.html?path={self.name}.ipynb"

    @cached_property
    def shows(self) -> tuple[str, ...]:
        """What one can do after it, in Markdown; where it does not say so, what it begins with."""
        items = re.findall(r"^\* (.*(?:\n  .*)*)", source(self.cells[0]), re.MULTILINE)
        return tuple(items) or (source(self.cells[0]).split("\n\n")[2],)

    @property
    def minutes(self) -> str:
        """How long it takes, as it says itself."""
        said = re.search(r"\d+ minutes", source(self.cells[0]))
        return said[0] if said else ""


def read_lessons(folder: Path, lite: bool = False) -> tuple[Lesson, ...]:
    """Read the notebooks of a folder, in order of their names; none where there is no folder."""
    paths = sorted(folder.glob("*.ipynb"))
    return tuple(Lesson(p.stem, tuple(json.loads(p.read_text(encoding="utf-8"))["cells"]), lite) for p in paths)


def source(cell: NotebookCell) -> str:
    """Return the text of a cell: Markdown, or Python."""
    return "".join(cell["source"])


def hidden(cell: NotebookCell) -> bool:
    """Tell whether JupyterLab hides the code of a cell until it is asked for.

    Source: https://nbformat.readthedocs.io/en/latest/format_description.html (`jupyter.source_hidden`).
    """
    return bool(cell["metadata"].get("jupyter", {}).get("source_hidden"))


def explored(lesson: Lesson) -> dict[str, Scenario]:
    """Return the scenarios whose panels a lesson shows, by the `id` of the cell that shows it.

    A cell does when it ends with `explore(...)` of `scenario("...")`, or of a name that stands for one.
    """
    return _shown_by(lesson, "explore")


def played(lesson: Lesson) -> dict[str, Scenario]:
    """Return the scenarios that play by themselves in a lesson, by the `id` of the cell that does `play(...)`."""
    return _shown_by(lesson, "play")


def _shown_by(lesson: Lesson, verb: str) -> dict[str, Scenario]:
    calls = _calls(lesson, verb)
    return {uid: story for uid, story, call in calls if len(call.args) == 1 and not call.keywords}


def _calls(lesson: Lesson, verb: str) -> Iterator[tuple[str, Scenario, ast.Call]]:
    """Yield the cells that call a verb of the notebooks with a scenario: the `id`, the scenario, the call."""
    named: dict[str, ast.expr] = {}
    for cell in (cell for cell in lesson.cells if cell["cell_type"] == "code"):
        for statement in ast.parse(source(cell)).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    named[name] = value
                case ast.Expr(value=ast.Call(func=ast.Name(id=called), args=[told, *_]) as call) if called == verb:
                    yield cell["id"], _story(named.get(told.id, told) if isinstance(told, ast.Name) else told), call


def stepped(lesson: Lesson) -> dict[str, tuple[Scenario, Settings, tuple[int, int]]]:
    """Return the steps of which a lesson shows the picture, by the `id` of the cell that does `step_picture(...)`:
    the scenario, its settings, the packet and the index of the step."""
    steps = {}
    for uid, story, call in _calls(lesson, "step_picture"):
        settings = story.start().but(**{one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg})
        packet, netns, what = map(ast.literal_eval, call.args[1:])
        at = step_at(story, settings, packet, netns, what)
        if at:
            steps[uid] = (story, settings, at)
    return steps


def compared(lesson: Lesson) -> dict[str, View]:
    """Return the states a lesson compares, by the `id` of the cell that shows them.

    A cell does when it ends with `side_by_side(...)` of `scenario("...")` and the settings that are changed.
    """
    code = ((cell["id"], ast.parse(source(cell)).body[-1:]) for cell in lesson.cells if cell["cell_type"] == "code")
    found: dict[str, View] = {}
    for uid, statements in code:
        match statements:
            case [ast.Expr(value=ast.Call(func=ast.Name(id="side_by_side"), args=[told], keywords=given))]:
                start = _story(told).start()
                changed = start.but(**{one.arg: ast.literal_eval(one.value) for one in given if one.arg})
                found[uid] = View(_story(told), changed, narrow=True, against=start)
    return found


def _story(told: ast.expr) -> Scenario:
    """Return the scenario of `scenario("...")`. Raises: ScenarioError when it is told in another way."""
    match told:
        case ast.Call(func=ast.Name(id="scenario"), args=[ast.Constant(value=str(name))]):
            return scenario(name)
    return scenario(ast.unparse(told))


def practised(lesson: Lesson) -> dict[str, Exercise]:
    """Return the exercises of a lesson, by the `id` of the cell that checks what is typed into it."""
    tasks = {(str(task.scenario), str(task.number)): task for task in exercises()}
    checked = ((cell["id"], CHECK.match(source(cell))) for cell in lesson.cells)
    return {uid: tasks[match[1], match[2]] for uid, match in checked if match}


def pictures(lesson: Lesson) -> dict[str, bytes]:
    """Return the committed pictures of a lesson that its page shows: name of the file -> PNG."""
    alive = {*explored(lesson), *compared(lesson), *played(lesson), *stepped(lesson)}
    return {
        f"{FOLDER}/{_picture_name(cell)}": base64.b64decode(output["data"]["image/png"])
        for cell in lesson.cells
        if cell["id"] not in alive
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    }


def _picture_name(cell: NotebookCell) -> str:
    return f"pictures/{cell['id']}.png"


def lesson_html(lesson: Lesson, articles: Mapping[str, Html]) -> Html:
    """Return the cells of a lesson; `articles` are those of the explorer, by the name of their scenario, and those of
    two states side by side, by the `id` of their cell."""
    alive, tasks, films = _panels(lesson, articles), practised(lesson), played(lesson)
    drawn = {uid: _drawn(uid, *step) for uid, step in stepped(lesson).items()}
    parts: list[Html] = []
    for cell in lesson.cells:
        if cell["id"].removesuffix(HELP) in tasks.keys() - {cell["id"]}:
            continue  # an exercise of the page has its own hint and solution
        if cell["cell_type"] == "markdown":
            parts.append(element("div", markdown(_for_pages(source(cell))), class_="text"))
        elif cell["id"] in tasks:
            parts.append(exercise_html(tasks[cell["id"]]))
        elif cell["id"] in films:
            parts.append(joined(_code(cell), _player(films[cell["id"]], f"played-{cell['id']}")))
        else:
            shown = alive.get(cell["id"]) or joined(*_outputs(cell, drawn.get(cell["id"])))
            parts.append(joined(_code(cell), shown, _elsewhere(cell)))
    return joined(*parts)


def _player(story: Scenario, uid: str) -> Html:
    """Return a scenario as it starts, playing by itself; without scripts it is the picture."""
    settings = story.start()
    walk = Walkthrough(story.world(settings), story.run(settings), plan_for(story, settings), uid=uid)
    data = data_html(walk.packed(walk.deciding))
    player = walk.player_html().removesuffix("</div>")
    return joined(Html(f"{player}{data}</div>"), Html('<script type="module" src="../player.js"></script>'))


def _panels(lesson: Lesson, articles: Mapping[str, Html]) -> dict[str, Html]:
    """Return what lives in a lesson, by the `id` of its cell. Two states are compared in one panel of the page."""
    pairs = compared(lesson)
    twice = {view.story for view in pairs.values()}
    alive = {uid: articles[uid] for uid in pairs}
    for uid, story in explored(lesson).items():
        article = PRACTICE.sub("", articles[story.name])
        alive[uid] = Html(article.replace(PIN, f"{PIN} hidden") if story in twice else article)
    return alive


def _elsewhere(cell: NotebookCell) -> Html:
    """Return where on the site that lives which is only a picture here; nothing for most cells."""
    match ast.parse(source(cell)).body[-1:]:
        case [ast.Expr(value=ast.Call(func=ast.Name(id="conclusion")))]:
            links = {tr("This table, to change and to open its cells"): "conclusion.html"}
        case [ast.Expr(value=ast.Call(func=ast.Name(id="ask")))]:
            links = {tr("The same for a cluster of your own, in this browser"): "cluster.html"}
        case _:
            return Html("")
    shown = (element("a", words, href=f"../{address}") for words, address in links.items())
    return element("p", *(part for link in shown for part in (link, " ")), class_="elsewhere")


def _for_pages(text: str) -> str:
    """Return the text of a lesson without the links that `_places` writes, and true of the panels on a page."""
    return BADGE.sub("", PAGE.sub("", text)).replace(TWO_SIDES, ONE_SIDE)


def _code(cell: NotebookCell) -> Html:
    """Return the code of a cell: above what it prints, or folded; none where it is hidden behind what it shows."""
    if hidden(cell) and any("data" in output for output in cell["outputs"]):
        return Html("")
    text = source(cell)
    lines = text.count("\n") + 1
    printed = any(output["output_type"] == "stream" for output in cell["outputs"])
    block = element("pre", element("code", text), class_="code")
    if printed and lines <= LONGEST_SHOWN:
        return block
    return element(
        "div", Html(folded(trn("Python, {count} line", "Python, {count} lines", lines), block)), class_="folded"
    )


def _drawn(uid: str, story: Scenario, settings: Settings, at: tuple[int, int]) -> Html:
    """Return the picture of a step, as wide as the window: its style sheet chooses one of two."""
    wide, narrow = (picture_of(story, settings, at, narrow=narrow) for narrow in (False, True))
    both = (Html(to_svg(drawing, f"{uid}{side}")) for drawing, side in ((wide, ""), (narrow, "-narrow")))
    return element("div", *both, class_="picture", tabindex="0", role="group", aria_label=tr("picture"))


def _outputs(cell: NotebookCell, drawn: Html | None = None) -> Iterator[Html]:
    """Yield what a cell shows; a picture that is `drawn` anew takes the place of the committed one."""
    for output in cell["outputs"]:
        if output.get("data") == {}:
            continue  # the place of an answer that nobody gave
        data = output.get("data", {})
        text = "".join(data.get("text/plain") or output.get("text", ""))
        if "text/html" in data:
            yield Html("".join(data["text/html"]))
        elif "image/png" in data:
            yield _figure(drawn or _committed(cell, base64.b64decode(data["image/png"]), text), text)
        elif TABLE_RULE.search(text):
            yield element("pre", text, class_="printed aligned", tabindex="0", role="group", aria_label="printed table")
        else:
            yield element("pre", text, class_="printed")


def _committed(cell: NotebookCell, png: bytes, text: str) -> Html:
    """Return a committed picture; its words stand below it, so its alternative text is the first line of them.

    Source of the place of width and height: https://www.w3.org/TR/png-3/#11IHDR.
    """
    width, height = struct.unpack(">II", png[16:24])
    size = {"width": str(width), "height": str(height)}
    return void_element("img", src=_picture_name(cell), alt=text.partition("\n")[0], loading="lazy", **size)


def _figure(picture: Html, text: str) -> Html:
    caption = element("pre", text, tabindex="0", role="group", aria_label=tr("the picture in words"))
    return element("figure", picture, element("figcaption", caption))


def markdown(text: str) -> Html:
    """Return Markdown as HTML; links to notebooks lead to their pages, those to documents to where they can be read."""
    html = str(mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])(text))
    html = PLACES.sub(lambda link: link[1] + _place(link[2]), html)
    html = HEADING.sub(lambda told: f'<{told[1]} id="{told[2].replace(" ", "-")}">{told[2]}</', html)
    frame = void_element("div", class_="wide", tabindex="0", role="group", aria_label=tr("table"))
    html = html.replace("<table>", f"{frame}<table>")
    return Html(html.replace("</table>", "</table></div>"))


def _place(name: str) -> str:
    if name == "../docs/glossary.md":
        return "../glossary.html"
    if name.endswith(".ipynb"):
        return name.removesuffix("ipynb") + "html"
    return SOURCE_PAGES + name.removeprefix("../")


def lesson_pages(all_lessons: Sequence[Lesson], articles: Mapping[str, Html]) -> Iterator[Page]:
    """Yield the page that lists the lessons, and that of each lesson."""
    about = tr("Lessons on the path of packets between Calico and Macvlan pods, to read without running anything.")
    listed = _table_of(all_lessons) if all_lessons else element("p", sentence(tr(MISSING)))
    yield Page("notebooks.html", tr("Notebooks"), tr("The notebooks"), about, element("div", listed, class_="lesson"))
    for number, lesson in enumerate(all_lessons):
        near = _neighbours(all_lessons, number)
        main = element("div", _places(lesson), lesson_html(lesson, articles), near, class_="lesson")
        alive = "app.js" if explored(lesson) else "quiz.js"
        yield Page(f"{FOLDER}/{lesson.page}", "", lesson.title, about, main, script=alive)


def _places(lesson: Lesson) -> Html:
    """Return where else the lesson can be read or run."""
    lite = (element("a", tr("Run it in this browser"), href=f"../{lesson.run}"), "  ·  ") if lesson.lite else ()
    binder = element("a", tr("Open on Binder"), href=lesson.binder)
    return element("p", *lite, binder, tr("  ·  to change the code itself; here it is as it was run"), class_="places")


def _neighbours(all_lessons: Sequence[Lesson], number: int) -> Html:
    sides = (("← ", number - 1), ("", number + 1))
    there = (
        element("a", arrow, all_lessons[n].title, href=all_lessons[n].page)
        for arrow, n in sides
        if 0 <= n < len(all_lessons)
    )
    return element("nav", *there, class_="near", aria_label=tr("lessons before and after"))


def _table_of(all_lessons: Sequence[Lesson]) -> Html:
    head = element(
        "tr", *(element("th", text, scope="col") for text in (tr("lesson"), tr("what it shows"), tr("time")))
    )
    body = element("tbody", *map(_row, all_lessons))
    return element("table", element("thead", head), body, class_="lessons")


def _row(lesson: Lesson) -> Html:
    shows = [Html(markdown(text).removeprefix("<p>").removesuffix("</p>\n")) for text in lesson.shows]
    items = element("ul", *(element("li", text) for text in shows)) if len(shows) > 1 else shows[0]
    name = element("th", element("a", lesson.title, href=f"{FOLDER}/{lesson.page}"), scope="row")
    return element("tr", name, element("td", items), element("td", lesson.minutes))
