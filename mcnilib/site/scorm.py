"""The exercises of the site as a SCORM 1.2 package: learning platforms open it, and are told what is solved.

It is the explorer of the site in a frame, and around it one page, the only SCO, that speaks with the platform
(`parts/scorm.js`): a hundredth of the score for each hundredth of the exercises, *completed* when all are done.
Source: SCORM 1.2 Content Aggregation Model, 2.3 (the manifest); SCORM 1.2 Run-Time Environment, 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Template

from mcnilib.errors import NotThere
from mcnilib.language import current_language, tr
from mcnilib.scenarios.exercise import exercises
from mcnilib.scenarios.scenario import Scenario
from mcnilib.show.html.markup import element
from mcnilib.site.frame import head_html, site_part, translated_part, words_html
from mcnilib.site.library import archive

SCO_PAGE = "scorm.html"
"""The page a platform opens."""

SCO_POLICY = {"default-src": "'self'", "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data:"}
"""The content security policy of that page."""

SCHEMAS = {
    "xmlns": "http://www.imsproject.org/xsd/imscp_rootv1p1p2",
    "xmlns:adlcp": "http://www.adlnet.org/xsd/adlcp_rootv1p2",
}
"""The names of the manifest's elements, as the standard gives them."""


def scorm_package(site: Mapping[str, str | bytes], story: Scenario | None = None) -> bytes:
    """Return the package, a zip, with the files of the site; the same files give the same bytes.

    With a scenario the exercises of its lesson count, otherwise all.
    Raises: NotThere for a lesson without exercises.
    """
    tasks = [one for one in exercises() if story is None or one.scenario == story.number]
    if not tasks:
        raise NotThere(tr("lesson {lesson} has no exercises", lesson=story.number if story else 0))
    title = tr("Exercises of lesson {lesson}", lesson=story.number) if story else tr("Exercises")
    values = {
        "language": current_language(),
        "words": words_html(),
        "head": head_html(title, SCO_POLICY),
        "title": title,
        "tasks": " ".join(f"{one.scenario}.{one.number}" for one in tasks),
        "start": f"index.html?mcni={story.name}" if story else "index.html",
    }
    entry = Template(translated_part(SCO_PAGE)).substitute(values)
    files = {**site, SCO_PAGE: entry, "scorm.js": site_part("scorm.js")}
    files["imsmanifest.xml"] = _manifest(title, files)
    return archive({name: data.encode() if isinstance(data, str) else data for name, data in files.items()})


def _manifest(title: str, files: Iterable[str]) -> str:
    """Return the manifest: one organization of one item, whose resource lists every file."""
    metadata = element("metadata", element("schema", "ADL SCORM"), element("schemaversion", "1.2"))
    item = element("item", element("title", title), identifier="exercises", identifierref="sco", isvisible="true")
    course = element("organization", element("title", title), item, identifier="course")
    listed = (element("file", href=name) for name in sorted(files))
    sco = {"identifier": "sco", "type": "webcontent", "adlcp:scormtype": "sco", "href": SCO_PAGE}
    resources = element("resources", element("resource", *listed, **sco))
    parts = (metadata, element("organizations", course, default="course"), resources)
    named = {"identifier": "mcnilib-exercises", "version": "1.2", **SCHEMAS}
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element("manifest", *parts, **named)}\n'
