"""The SCORM package in a browser: a learning platform that notes every call, and a learner who solves an exercise."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Page, expect

from browser.accessibility import FAULTS
from browser.site_page import Quiet, new_tab
from mcnilib.scenarios import all_scenarios, scenario
from mcnilib.scenarios.exercise import exercise
from mcnilib.site.engine import SiteError, pyodide
from mcnilib.site.page import site_files
from mcnilib.site.prepared import prepared_files
from mcnilib.site.scorm import scorm_package

PLATFORM = """<!DOCTYPE html><title>platform</title><link rel="icon" href="data:,"><script>
const calls = [], kept = { "cmi.core.lesson_status": "not attempted", "cmi.suspend_data": new URLSearchParams(location.search).get("kept") ?? "" };
let running = false;
const call = (name, does) => (...given) => { calls.push([name, ...given]); return does(...given); };
window.API = {
  LMSInitialize: call("LMSInitialize", () => String(running = !running)),
  LMSGetValue: call("LMSGetValue", name => kept[name] ?? ""),
  LMSSetValue: call("LMSSetValue", (name, value) => { kept[name] = value; return String(running && typeof value === "string"); }),
  LMSCommit: call("LMSCommit", () => String(running)),
  LMSFinish: call("LMSFinish", () => { running = false; return "true"; }),
  LMSGetLastError: call("LMSGetLastError", () => "101"),
};
</script><iframe src="scorm.html" width="1200" height="700" title="course"></iframe>"""
"""A learning platform as SCORM 1.2 has it: `API` in a window above that of the SCO."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("platform")
    try:
        package = scorm_package(site_files(pyodide(None), (), prepared_files(all_scenarios(), 1)), scenario("7"))
    except SiteError as problem:
        pytest.skip(str(problem))
    zipfile.ZipFile(io.BytesIO(package)).extractall(folder)
    (folder / "platform.html").write_text(PLATFORM, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def solve(page: Page, number: int) -> None:
    """Type the solution of an exercise of lesson 7, and run it."""
    inner = page.frame_locator("iframe").frame_locator("iframe")
    form = inner.locator(f"article.chosen .exercise[data-number='{number}']")
    form.get_by_role("textbox", name="Commands").fill(exercise(7, number).solution)
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".said")).to_contain_text("✔ Solved.", timeout=60_000)


def test_what_is_solved_is_told_to_the_platform(browser, platform: str) -> None:
    with new_tab(browser, platform) as tab:
        tab.page.goto(f"{platform}platform.html")
        status = tab.page.frame_locator("iframe").get_by_role("status")
        expect(status).to_have_text("Exercises done: 0 of 3.")
        assert tab.page.evaluate("kept['cmi.core.lesson_status']") == "incomplete"
        field = tab.page.frame_locator("iframe").frame_locator("iframe").locator("#exercise-7-1")
        expect(field).to_be_attached()
        tab.page.frame_locator("iframe").get_by_role("button", name="Go to the exercises").click()
        expect(field).to_be_focused()
        expect(field).to_be_in_viewport()
        solve(tab.page, 2)
        expect(status).to_have_text("Exercises done: 1 of 3.")
        kept = tab.page.evaluate("kept")
        assert (kept["cmi.core.score.raw"], kept["cmi.core.score.max"]) == ("33", "100")
        assert kept["cmi.suspend_data"] == "7.2"
        tab.page.evaluate("document.querySelector('iframe').src = 'about:blank'")
        tab.page.wait_for_function("calls.at(-1)[0] === 'LMSFinish'")
        calls = [name for name, *_ in tab.page.evaluate("calls")]
        assert calls[0] == "LMSInitialize"
        assert calls.count("LMSInitialize") == calls.count("LMSFinish") == 1
        assert calls[-2] == "LMSCommit"
        assert tab.page.evaluate("kept['cmi.core.exit']") == "suspend"
        assert tab.page.evaluate("kept['cmi.core.session_time']").startswith("0000:0")
        assert tab.errors == []
        assert tab.foreign == []


def test_a_learner_goes_on_where_they_stopped_and_completes_the_lesson(browser, platform: str) -> None:
    with new_tab(browser, platform) as tab:
        tab.page.goto(f"{platform}platform.html?kept=7.1+7.3+9.9")
        status = tab.page.frame_locator("iframe").get_by_role("status")
        expect(status).to_have_text("Exercises done: 2 of 3.")  # 9.9 is none of this lesson
        assert tab.page.evaluate("kept['cmi.core.lesson_status']") == "incomplete"
        solve(tab.page, 2)
        expect(status).to_have_text("Exercises done: 3 of 3.")
        assert tab.page.evaluate("[kept['cmi.core.lesson_status'], kept['cmi.core.score.raw']]") == ["completed", "100"]


def test_a_platform_that_takes_nothing_is_named_and_without_one_the_page_works(
    browser, platform: str, axe: str
) -> None:
    with new_tab(browser, platform) as tab:
        tab.page.goto(f"{platform}platform.html")
        status = tab.page.frame_locator("iframe").get_by_role("status")
        expect(status).to_have_text("Exercises done: 0 of 3.")
        tab.page.evaluate("running = false")
        solve(tab.page, 2)
        expect(status).to_have_text(
            "Exercises done: 1 of 3. The learning platform did not take the result (error 101)."
        )
        tab.page.goto(f"{platform}scorm.html")
        expect(tab.page.get_by_role("status").first).to_contain_text(
            "No learning platform was found: nothing is reported."
        )
        tab.page.evaluate(axe)
        assert tab.page.evaluate(FAULTS) == []
