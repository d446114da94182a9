"""A link that carries a scenario and its settings, so that one person can send another a state.

Text form: a web address that opens the scenario's notebook, ending in `mcni=NAME&SETTING=VALUE...` with the names and
values of the command line. Only settings that differ from the scenario's start are written. `lang=LANGUAGE` follows the
name where the one who sends the link does not read English.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlencode

from mcnilib.cluster.settings import SettingError, Settings, option
from mcnilib.language import ENGLISH, current_language, languages, listed, tr
from mcnilib.scenarios import Scenario, scenario

BINDER = "https://mybinder.org/v2/gh/mcnilib/mcnilib/HEAD?urlpath=lab/tree/notebooks"
"""Where the notebooks open for everybody. What follows `urlpath=` is an address inside Binder, so it is quoted."""

_MARK = "mcni="
_LANGUAGE = "lang"
LONGEST_LINK = 4096
"""Characters of a link that are read."""


def print_link(story: Scenario, settings: Settings, base: str = BINDER) -> str:
    """Print the address that opens the story's notebook in this state.

    `base` is the folder of the notebooks on some JupyterLab, as `http://localhost:8888/lab/tree/notebooks`.
    Raises: SettingError for a change of something that is no toggle of the story: its notebook could not show it.
    """
    start = story.start().texts()
    _settings(story, {n: t for n, t in settings.texts().items() if start[n] != t})
    language = current_language()
    query = print_query(story, settings, "" if language == ENGLISH else language)
    inside = f"{story.notebook or '00-index.ipynb'}?{query}"
    return f"{base}/{quote(inside, safe='/') if 'urlpath=' in base else inside}"


def print_query(story: Scenario, settings: Settings, language: str = "") -> str:
    """Print what stands behind the question mark of a link; the page of a site needs no language."""
    spoken_in = {_LANGUAGE: language} if language else {}
    return urlencode({"mcni": story.name, **spoken_in, **story.changed(settings)}, quote_via=quote)


def parse_link(text: str) -> tuple[Scenario, Settings]:
    """Return the scenario and the settings a link carries; anything before `mcni=` or after `#` is not looked at.

    Raises: SettingError where the text carries no scenario, or a setting, value or language that does not exist;
    ScenarioError for a scenario that does not exist, naming the nearest.
    """
    pairs = _pairs(text)
    _language_in(pairs)
    story = scenario(pairs.pop("mcni"))
    pairs.pop(_LANGUAGE, None)
    return story, _settings(story, pairs)


def link_language(text: str) -> str:
    """Return the language a link is to be read in; empty where it names none. Raises: SettingError."""
    return _language_in(_pairs(text))


def _language_in(pairs: dict[str, str]) -> str:
    language = pairs.get(_LANGUAGE, "")
    if language and language not in languages():
        known = listed(languages())
        raise SettingError(
            tr("there is no catalogue for {language!r}; there are {languages}", language=language, languages=known)
        )
    return language


def _pairs(text: str) -> dict[str, str]:
    """Return the names and values a link carries, `mcni` among them. Raises: SettingError."""
    if len(text) > LONGEST_LINK:
        raise SettingError(
            tr("a link has at most {most} characters, this one has {count}", most=LONGEST_LINK, count=len(text))
        )
    plain = text if _MARK in text else unquote(text)
    if _MARK not in plain:
        raise SettingError(tr("{text!r} is not a link to a state: `{begin}...` is missing", text=text, begin=_MARK))
    return dict(parse_qsl(plain[plain.index(_MARK) :].partition("#")[0], keep_blank_values=True))


def _settings(story: Scenario, texts: dict[str, str]) -> Settings:
    """Return the start of a story with changes; only toggles of the story can be changed."""
    for name in texts:
        if option(name).attribute not in story.settings:
            raise SettingError(tr("scenario {story} has no setting {name!r}", story=story.name, name=name))
    settings = story.start().but(**texts)
    for setting in story.options():
        if getattr(settings, setting.attribute) not in setting.values:
            raise SettingError(
                tr(
                    "{toggle} cannot be {text!r} in {story}; it is one of {texts}",
                    toggle=setting.name,
                    text=texts[setting.name],
                    story=story.name,
                    texts=setting.texts,
                )
            )
    return settings
