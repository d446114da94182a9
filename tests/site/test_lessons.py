"""Notebooks as pages: all that was run is there to read, and every panel of a scenario lives."""

from __future__ import annotations

import json
import re
from html import escape, unescape
from pathlib import Path

import pytest

from mcnilib.cli import main
from mcnilib.language import ENGLISH, PSEUDO, spoken
from mcnilib.scenarios import ScenarioError, all_scenarios
from mcnilib.scenarios.exercise import exercises
from mcnilib.scenarios.link import parse_link
from mcnilib.show.html.markup import Html, joined
from mcnilib.show.widgets.quiz import RIGHT, TRY_AGAIN
from mcnilib.site import engine, lessons, prepared
from mcnilib.site.lessons import (
    Lesson,
    compared,
    explored,
    lesson_html,
    lesson_pages,
    pictures,
    played,
    practised,
    read_lessons,
    source,
    stepped,
)
from mcnilib.site.page import article_html, pair_html
from mcnilib.site.workbench import exercises_html

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = read_lessons(FOLDER)
PAIRS = {uid: view for lesson in LESSONS for uid, view in compared(lesson).items()}
SCENARIOS = [lesson for lesson in LESSONS if lesson.name[:2] not in ("00", "17", "19", "22")]
"""Those with exercises of their own, in a file."""
COMPARED = [lesson for lesson in SCENARIOS if lesson.name < "16"]
"""Those that show two states side by side."""
ARTICLES = {name: Html(f"<article id={name}></article>") for name in (*(s.name for s in all_scenarios()), *PAIRS)}
PANEL = re.compile(r"^explore\(", re.MULTILINE)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_panel_that_explores_a_scenario_lives(lesson: Lesson) -> None:
    panels = [cell["id"] for cell in lesson.cells if cell["cell_type"] == "code" and PANEL.search(source(cell))]
    assert panels == list(explored(lesson))
    html = lesson_html(lesson, ARTICLES)
    panels = re.findall("<article id=([^>]*)>", html)
    assert [name for name in panels if name not in PAIRS] == [story.name for story in explored(lesson).values()]


def living(lesson: Lesson) -> set[str]:
    """Return the cells whose place a panel or an exercise takes."""
    return {*explored(lesson), *compared(lesson), *played(lesson), *practised(lesson)}


def test_the_first_page_plays_the_central_failure_and_is_its_picture_without_scripts() -> None:
    index = LESSONS[0]
    (story,) = played(index).values()
    assert story.name == "macvlan-to-calico-across-nodes"
    html = lesson_html(index, ARTICLES)
    player = html[html.index('<div class="mcni-player"') :].partition('src="../player.js"')[0]
    before, _, data = player.partition('<script type="application/json">')
    assert 'aria-label="play" hidden=' in before, "buttons that do nothing"
    assert before.count("<svg ") == 2, "one for a phone"
    assert json.loads(data.partition("</script>")[0])["steps"][-1]["says"].endswith("KUBE-FORWARD: dropped")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_all_that_was_printed_can_be_read(lesson: Lesson) -> None:
    html = lesson_html(lesson, ARTICLES)
    for cell in lesson.cells:
        for output in cell.get("outputs", ()) if cell["id"] not in living(lesson) else ():
            data = output.get("data", {})
            text = data.get("text/html") or escape("".join(output.get("text") or data.get("text/plain", "")))
            assert "".join(text) in html, cell["id"]
    assert "<p>|" not in html, "a table is not read as one"


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda lesson: lesson.name)
def test_a_prediction_can_be_answered_on_the_page_with_a_response_to_every_answer(lesson: Lesson) -> None:
    quizzes = re.findall('<section class="mcni-quiz">.*?</section>', lesson_html(lesson, ARTICLES))
    assert len(quizzes) == sum("\npredict(" in f"\n{source(cell)}" for cell in lesson.cells) > 0
    for quiz in quizzes:
        shown, _, key = quiz.partition("<details>")
        answers, said = re.findall("<li>(.*?)</li>", shown), re.findall("<dd>(.*?)</dd>", key)
        assert re.findall("<dt>(.*?)</dt>", key) == answers
        assert sorted(text[0] for text in said) == ["✓", *"✗" * (len(answers) - 1)]
        assert all(len(text) > len(f"{RIGHT} ") + 20 and TRY_AGAIN not in text for text in said)
        assert "✓" not in shown


@pytest.mark.parametrize("lesson", SCENARIOS, ids=lambda lesson: lesson.name)
def test_every_exercise_lives_where_the_lesson_has_it_and_nowhere_else(lesson: Lesson) -> None:
    tasks = [task for task in exercises() if task.scenario == int(lesson.name[:2])]
    assert tasks
    assert list(practised(lesson).values()) == tasks
    articles = ARTICLES | {s.name: joined("<article>", exercises_html(s), "</article>") for s in all_scenarios()}
    forms = re.findall(r'data-scenario="(\d+)" data-number="(\d+)"', lesson_html(lesson, articles))
    assert forms == [(str(task.scenario), str(task.number)) for task in tasks]


@pytest.mark.parametrize("lesson", COMPARED, ids=lambda lesson: lesson.name)
def test_two_states_side_by_side_live_in_one_panel_with_both_pictures(lesson: Lesson) -> None:
    ((uid, view),) = compared(lesson).items()
    assert view.against == view.story.start() != view.settings
    html = pair_html(view, uid)
    article = re.search(r'<article id="([^"]*)" class="pair comparing" data-state="(.*?)" data-against="(.*?)">', html)
    assert article and article[1] == uid
    states = [parse_link(unescape(state)) for state in article.groups()[1:]]
    assert states == [(view.story, view.settings), (view.story, view.against)]
    answer = view.answer()
    assert answer["picture"] in html and answer["against"]["picture"] in html and answer["against"]["told"] in html
    ids = re.findall(r' id="([^"]*)"', html + article_html(view.story, Html("")))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("lesson", COMPARED, ids=lambda lesson: lesson.name)
def test_a_state_is_kept_to_compare_others_with_in_one_panel_of_a_scenario(lesson: Lesson) -> None:
    story = next(iter(compared(lesson).values())).story
    articles = {name: Html(f'<article id={name}><button data-pin="pin">') for name in ARTICLES}
    html = lesson_html(lesson, articles)
    for name in re.findall("<article id=([^>]*)>", html):
        hides = f'<article id={name}><button data-pin="pin" hidden>' in html
        assert hides is (name == story.name)


def test_what_is_a_picture_in_a_lesson_and_lives_on_another_page_is_linked() -> None:
    table, own = (lesson_html(lesson, ARTICLES) for lesson in LESSONS if lesson.name[:2] in ("16", "17"))
    assert table.count('href="../conclusion.html"') == 1
    assert own.count('href="../cluster.html"') == 2


@pytest.mark.parametrize("language", [ENGLISH, PSEUDO])
def test_the_picture_of_a_step_follows_the_theme_of_the_page_and_the_width_of_the_window(language: str) -> None:
    words = next(lesson for lesson in LESSONS if lesson.name == "00-words")
    with spoken(language):  # a notebook asks for a step in English
        html, steps = str(lesson_html(words, ARTICLES)), stepped(words)
    calls = sum(source(cell).count("step_picture(") for cell in words.cells)
    assert len(steps) == calls
    assert html.count('class="mcni-picture"') == 2 * calls  # wide and narrow
    assert "<img" not in html


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_the_pictures_of_a_page_are_files_of_the_site(lesson: Lesson) -> None:
    shown = re.findall(
        '<img src="([^"]*)" alt="[^"]+" loading="lazy" width="[0-9]+" height="[0-9]+">', lesson_html(lesson, ARTICLES)
    )
    assert [f"notebooks/{one}" for one in shown] == list(pictures(lesson))
    assert all(data.startswith(b"\x89PNG") for data in pictures(lesson).values())


def test_the_list_says_what_each_lesson_shows_and_how_long_it_takes() -> None:
    listed = next(lesson_pages(LESSONS, ARTICLES)).main
    for lesson in LESSONS:
        row = listed.partition(f'<a href="notebooks/{lesson.page}">{lesson.title}</a>')[2].partition("</tr>")[0]
        assert re.search(r"<td>\d+ minutes</td>$", row)
        assert row.count("<li>") == (3 if lesson.name != "00-index" else 0)


def code(text: str) -> Lesson:
    return Lesson("x", ({"cell_type": "code", "id": "1", "source": [text], "outputs": [], "metadata": {}},))


def test_a_panel_of_something_else_is_refused_rather_than_left_dead() -> None:
    with pytest.raises(ScenarioError, match="some_story"):
        explored(code("explore(some_story)"))


@pytest.mark.parametrize(
    ("lines", "printed", "folded"), [(6, True, False), (7, True, True), (1, False, True), (6, False, True)]
)
def test_short_code_stands_above_what_it_prints_and_other_code_is_folded(
    lines: int, printed: bool, folded: bool
) -> None:
    (cell,) = code("\n".join(["x = 1"] * lines)).cells
    told = [{"output_type": "stream", "name": "stdout", "text": ["1"]}] if printed else []
    html = lesson_html(Lesson("x", (cell | {"outputs": told},)), {})
    assert ("<details>" in html) is folded


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_no_code_stands_above_a_question_or_a_panel(lesson: Lesson) -> None:
    html = lesson_html(lesson, ARTICLES)
    assert not re.findall(r"<code>(?:explore|side_by_side|predict|look_around)\(", html)


def test_links_between_notebooks_lead_to_pages_and_those_to_documents_to_where_they_are() -> None:
    html = lessons.markdown("[a](06-x.ipynb) [b](07-y.ipynb#Why) [c](../docs/snapshot.md) [d](https://e.org/f.ipynb)")
    links = re.findall('href="([^"]*)"', html)
    assert links[:2] == ["06-x.html", "07-y.html#Why"]
    assert links[2].endswith("/blob/main/docs/snapshot.md")
    assert links[3] == "https://e.org/f.ipynb"


def test_without_the_notebooks_the_site_says_where_they_are(tmp_path: Path, monkeypatch, capsys) -> None:
    from mcnilib.cli import classroom

    monkeypatch.setattr(classroom, "PROJECT", tmp_path)
    stands_in = dict.fromkeys(engine.CHECKSUMS, b"{}")
    monkeypatch.setattr(engine, "pyodide", lambda folder: stands_in)
    monkeypatch.setattr(engine, "compiled", lambda files, archive: files)
    monkeypatch.setattr(prepared, "prepared_files", lambda stories: {})  # minutes
    assert main(["site", str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    assert "written without the notebooks" in said.err
    assert "notebooks.html" in json.loads(said.out)["files"]
    assert "a clone of the project" in (tmp_path / "out" / "notebooks.html").read_text()
