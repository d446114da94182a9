"""The site, and the page of the explorer: every scenario with its picture, verdict and steps before any script runs.

The scripts change what stands in the parts of an article, `data-part` names them; the controls are ordinary forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import Template

from mcnilib.cluster.settings import Option
from mcnilib.language import mark, tr
from mcnilib.scenarios import Scenario, all_scenarios
from mcnilib.scenarios.glossary import glossary_table
from mcnilib.scenarios.link import print_link
from mcnilib.scenarios.symptoms import SYMPTOMS, symptom_table, verdict_legend
from mcnilib.show.explorer import Shown, View
from mcnilib.show.html.markup import Html, element, folded, joined, option_html, sentence, void_element
from mcnilib.show.html.table import depth_options
from mcnilib.show.picture.legend import legend_html
from mcnilib.show.picture.story_picture import EVERYTHING
from mcnilib.site.engine import engine_files
from mcnilib.site.frame import (
    Page,
    filled,
    page_html,
    player_script,
    scrolled,
    site_part,
    site_style,
    stepper,
    translated_part,
)
from mcnilib.site.lessons import FOLDER, Lesson, compared, explored, lesson_pages, markdown, pictures
from mcnilib.site.library import library
from mcnilib.site.single import walk_html
from mcnilib.site.summary import conclusion_page
from mcnilib.site.workbench import exercises_html, machines_html, repairs_place
from mcnilib.snapshots.archive import MAX_FILES, MAX_UNPACKED
from mcnilib.snapshots.folder import script

FIRST = "macvlan-to-calico-across-nodes"
"""The scenario a page opens with that was asked for none."""

ANSWERED = ("verdict", "picture", "reasons", "times", "table", "listing")
"""What stands in the page of an answer before a script runs."""

SPEEDS = {0.25: "¼", 0.5: "½", 1: "1", 2: "2", 4: "4"}
"""How fast a conversation may be played, 1 is as fast as it was."""

SCRIPTS = (
    *("app.js", "axis.js", "engine.js", "exercises.js", "machines.js"),
    *("own.js", "prepared.js", "quiz.js", "repair.js", "steps.js", "words.js", "worker.js"),
)


def site_files(
    pyodide: Mapping[str, bytes], lessons: Sequence[Lesson] = (), prepared: Mapping[str, bytes] | None = None
) -> dict[str, str | bytes]:
    """Return the whole site, name -> content, from the files of Pyodide, with the pages of the lessons and the answers
    that are prepared.

    Among the files may be the archive of Python code, compiled; else the sources are taken.
    """
    code = engine_files(pyodide if "library.zip" in pyodide else {**pyodide, "library.zip": library()})
    to_lesson = {story: _to_lesson(story, lessons) for story in all_scenarios()}
    articles = {story.name: article_html(story, link) for story, link in to_lesson.items()}
    alive = {s.name: Html(articles[s.name].replace(link, _to_explorer(s))) for s, link in to_lesson.items() if link}
    pairs = {uid: pair_html(view, uid) for lesson in lessons for uid, view in compared(lesson).items()}
    pages = (explorer(articles), conclusion_page(), own_cluster(), *lesson_pages(lessons, alive | pairs), glossary())
    size = sum(map(len, code.values()))
    return {
        **{page.file: page_html(page, pages, size) for page in pages},
        **{name: data for lesson in lessons for name, data in pictures(lesson).items()},
        "style.css": site_style() + site_part("lesson.css"),
        **{name: site_part(name) for name in SCRIPTS},
        "player.js": player_script(),
        "collect.sh": script(),
        **code,
        **(prepared or {}),
    }


def explorer(articles: Mapping[str, Html]) -> Page:
    """Return the page on which every scenario can be changed; `articles` tell them, by their names."""
    stories = all_scenarios()
    choices = (option_html(_heading(story), story.name, chosen=story.name == FIRST) for story in stories)
    named = element("span", f"{tr('Conversation')} ")
    choose = element("label", named, element("select", *choices, id="scenario"), class_="choose")
    items = (element("li", element("a", _heading(s), href=f"#{s.name}")) for s in stories)
    contents = element("nav", element("ul", *items), class_="contents", aria_label=tr("conversations"))
    return Page(
        "index.html",
        tr("Explorer"),
        tr("Where does the packet go?"),
        tr(
            "Where does a packet go in a Kubernetes cluster with Calico and Macvlan, why is it lost, and what brings "
            "it back? Change a setting and see."
        ),
        joined(contents, *articles.values()),
        script="app.js",
        tools=joined(_symptoms(), choose),
    )


def _symptoms() -> Html:
    """Return what one may see at a shell, and the lesson and command that show it."""
    names = " · ".join(tr(symptom.sees) for symptom in SYMPTOMS)
    table = element("div", markdown(symptom_table("notebooks/")), class_="text")
    head = element("span", tr("What do you see?"), title=names)
    return element("section", Html(folded(head, table)), class_="lesson symptoms", aria_label=tr("symptoms"))


def glossary() -> Page:
    """Return the page that explains the words of the field, and those of a verdict."""
    about = tr("The words of the field that the lessons use, each in one sentence.")
    text = f"{about}\n\n{glossary_table()}\n\n## {tr('The words of a verdict')}\n\n{verdict_legend()}\n"
    main = element("div", element("div", markdown(text), class_="text"), class_="lesson")
    return Page("glossary.html", tr("Glossary"), tr("Glossary"), about, main)


def own_cluster() -> Page:
    """Return the page that reads what is dropped onto it; before its script runs it says what it would do."""
    limits = {"most_files": MAX_FILES, "most_bytes": MAX_UNPACKED}
    parts = limits | {"depths": depth_options(), "walk": walk_html({"repairs": repairs_place("repair")}, 0)}
    return Page(
        "cluster.html",
        tr("Your cluster"),
        tr("Your own cluster"),
        tr("Drop what you collected on your nodes, and follow a packet through it. Nothing leaves the browser."),
        Html(Template(translated_part("cluster.html")).substitute(parts)),
        script="own.js",
    )


def _heading(story: Scenario) -> str:
    return f"{story.number}. {tr(story.title)}"


def _to_lesson(story: Scenario, lessons: Iterable[Lesson]) -> Html:
    """Return the link to the lesson of a scenario, nothing where the site has none; it keeps the state where the lesson
    shows the scenario."""
    lesson = next((lesson for lesson in lessons if f"{lesson.name}.ipynb" == story.notebook), None)
    if lesson is None:
        return Html("")
    keeps = "lesson" if story in explored(lesson).values() else ""
    return element("a", tr("Read the lesson"), href=f"{FOLDER}/{lesson.page}", data_keeps=keeps)


def _to_explorer(story: Scenario) -> Html:
    """Return the link from the page of a lesson to the explorer."""
    return element("a", tr("Open in the explorer"), href=f"../index.html?mcni={story.name}", data_keeps="explorer")


def article_html(story: Scenario, link: str = "") -> Html:
    """Return a scenario as it starts, with the controls that change it; the first is the one that is shown. `link`
    leads to where else it is told."""
    view = View(story, story.start())
    answer = view.answer()
    narrow = replace(view, narrow=True).answer()["picture"]
    answer["picture"] += narrow  # the window's width chooses one
    main = _main(view, answer, exercises_html(story))
    columns = (_side(view, answer, story.name, link), main)
    chosen = "chosen" if story.name == FIRST else ""
    return element("article", element("h2", _heading(story)), *columns, id=story.name, class_=chosen)


def pair_html(view: View, uid: str) -> Html:
    """Return a state beside the one it is compared with; `uid` is the id of the article, `data-state` what it shows."""
    answer = view.answer()
    heading = element("h2", tr("{title}: two states side by side", title=_heading(view.story)))
    states = {"data_state": answer["state"], "data_against": answer["against"]["state"]}
    columns = (_side(view, answer, uid, _to_explorer(view.story)), _main(view, answer))
    return element("article", heading, *columns, id=uid, class_="pair comparing", **states)


def _side(view: View, answer: Shown, uid: str, link: str) -> Html:
    """Return what stands beside the picture: the question and a link, the verdict, the steps, the controls."""
    return element(
        "div",
        element("p", sentence(tr(view.story.question)), " ", link, class_="question"),
        filled("verdict", Html(answer["verdict"]), class_="mcni-verdict", role="status", aria_live="polite"),
        filled("compared", class_="compared"),
        stepper(len(answer["steps"]), _player(), _depth(), _everything(answer["folds"]), failure=answer["failure"]),
        _controls(view, uid),
        class_="side",
    )


def _main(view: View, answer: Shown, exercises: str = "") -> Html:
    """Return the picture and what stands below it."""
    parts = {name: Html(answer[name]) for name in ANSWERED}
    return element(
        "div",
        filled("told", Html(answer["against"]["told"] if answer["against"] else ""), class_="told", role="status"),
        _axis(parts["times"]),
        _panes(parts["picture"], answer["against"]),
        legend_html(),
        filled("listing", parts["listing"]),
        filled("reasons", parts["reasons"]),
        repairs_place(),
        machines_html(),
        scrolled("table", tr("table of steps"), parts["table"]),
        exercises,
        _share(view, answer["command"]),
        class_="main",
    )


def _panes(picture: str, against: Shown | None) -> Html:
    """Return the picture, and the other one beside it, or its place."""
    other = against["picture"] if against else ""
    names = [f"{side}: {says}" for side, says in zip("AB", against["names"], strict=True)] if against else ["", ""]
    panes = (
        element(
            "div",
            element("h3", name, data_part=f"name{side or '-b'}", hidden="" if name else "hidden"),
            scrolled(f"picture{side}", tr(of), Html(content), kind="picture"),
            class_=f"pane{side}",
        )
        for name, side, content, of in (
            (names[0], "-a", other, mark("picture of A")),
            (names[1], "", picture, mark("picture")),
        )
    )
    return element("div", *panes, class_="panes")


def _controls(view: View, uid: str) -> Html:
    texts = view.settings.texts()
    fields = (_control(f"{uid}-{option.name}", option, texts[option.name]) for option in view.story.options())
    reset = element("button", tr("as it was at first"), type="reset", title=tr("Set everything as it is at first"))
    pin = element(
        "button",
        tr("compare with this state"),
        type="button",
        data_pin="pin",
        title=tr("Keep it beside what you change"),
    )
    unpin = joined(Html('<button type="button" data-pin="" hidden>'), tr("end the comparison"), Html("</button>"))
    form = element("form", *fields, element("p", reset, pin, unpin), class_="settings", autocomplete="off")
    return element("div", Html(folded(tr("Change a setting"), form, opened=True)), class_="controls")


def _control(uid: str, option: Option, start: str) -> Html:
    """Return a setting: buttons of which one is chosen for few short values, else a list."""
    label, help = tr(option.label), element("small", sentence(tr(option.help)), id=f"{uid}-help")
    if option.fits_buttons:
        buttons = (_radio(f"{uid}-{n}", option.name, text, text == start) for n, text in enumerate(option.texts))
        choice = element("span", *buttons, class_="choice")
        return element("fieldset", element("legend", label), choice, help, aria_describedby=f"{uid}-help")
    options = (option_html(tr(text), text, chosen=text == start) for text in option.texts)
    select = element("select", *options, name=option.name, id=uid, aria_describedby=f"{uid}-help")
    return element("div", element("label", label, for_=uid), select, help, class_="field")


def _radio(uid: str, name: str, text: str, chosen: bool) -> Html:
    checked = "checked" if chosen else ""
    knob = void_element("input", type="radio", id=uid, name=name, value=text, checked=checked)
    return joined(knob, element("label", tr(text), for_=uid))


def _depth() -> Html:
    """Return what says how much is told."""
    return element("label", f"{tr('tell')} ", element("select", depth_options(), data_part="depth"))


def _everything(folds: bool) -> Html:
    """Return the switch that shows what is left out of the picture; it is idle where nothing is."""
    idle = "" if folds else "disabled"
    knob = void_element("input", type="checkbox", data_part="everything", autocomplete="off", disabled=idle)
    return element("label", knob, f" {tr(EVERYTHING)}", class_="switch")


def _axis(times: str) -> Html:
    """Return the time axis."""
    name = tr("time axis: the packets; arrow keys go from one to the next")
    return filled("times", times, class_="axis", role="group", aria_label=name)


def _player() -> Html:
    """Return what walks through a conversation by itself."""
    speeds = (option_html(f"{text}×", str(speed), chosen=speed == 1) for speed, text in SPEEDS.items())
    play = element(
        "button", tr("▶ play"), type="button", data_part="play", title=tr("Walk through the conversation in time")
    )
    return joined(play, element("select", *speeds, data_part="speed", aria_label=tr("speed of playing")))


def _share(view: View, command: str) -> Html:
    notebook = element(
        "a", tr("open in its notebook"), href=print_link(view.story, view.settings), data_part="notebook"
    )
    copy = element("button", tr("copy the link to this state"), type="button", data_copy="link")
    title = tr("Picture, steps and tables of this state as one HTML file, which works without this site")
    save = element("button", tr("Save as one file"), type="button", data_save="html", title=title)
    said = element("span", data_part="copied", role="status")
    terminal = joined(f"{tr('In a terminal:')} ", element("code", command, data_part="command"))
    return element("div", copy, " ", save, said, " ", notebook, element("p", terminal), class_="share")
