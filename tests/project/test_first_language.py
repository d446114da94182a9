"""The catalogue's round trip: what a translator types into the file that CONTRIBUTING.md has them make is what is said."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po, write_po

from mcnilib import language
from mcnilib.cli import main
from mcnilib.language import readers_language, spoken, trn

ROOT = Path(__file__).parents[2]
STEPS = re.findall(r"^uv run --all-extras (pybabel .+?)(?: +#.*)?$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
TYPED = {
    "connect succeeds, then hangs": "连接成功,随后挂起",
    "{packet} is dropped on {netns} in {place} by `{line}`, written by {writer}": (
        "{netns} 的 {place} 按 `{line}`({writer})丢弃 {packet}"  # the parts in another order
    ),
}


def babel(step: str, folder: Path) -> None:
    """Do one of the steps of CONTRIBUTING.md, with the catalogues in another folder."""
    words = shlex.split(step.replace("-d mcnilib/locale", f"-d {folder}"))
    CommandLineInterface().run([*words[:1], "-q", *words[1:]])


@pytest.fixture
def translated(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    monkeypatch.chdir(ROOT)
    init, compiled, update = STEPS
    babel(init, tmp_path)
    file = tmp_path / "zh_CN" / "LC_MESSAGES" / "mcnilib.po"
    catalogue = read_po(file.open("rb"), locale="zh_CN")
    for text, said in TYPED.items():
        catalogue[text].string = said
    with file.open("wb") as opened:
        write_po(opened, catalogue)
    babel(update, tmp_path)
    babel(compiled, tmp_path)
    monkeypatch.setattr(language, "_CATALOGUES", tmp_path)
    yield tmp_path
    language._catalogue.cache_clear()


def test_a_compiled_catalogue_is_what_the_command_and_the_notebook_say(translated: Path, capsys) -> None:
    assert main(["--lang", "zh_CN", "run", "7"]) == 1
    said = capsys.readouterr().out
    assert (
        "连接成功,随后挂起: node1 的 filter KUBE-FORWARD 按 `-m conntrack --ctstate INVALID -j DROP`(kube-proxy" in said
    )
    assert "What would help on node1" in said  # not translated yet: English
    with spoken("zh_CN"):
        assert trn("{count} rule", "{count} rules", 2) == "2 rules"


@pytest.mark.parametrize("locale", ["zh_CN.UTF-8", "zh_SG.UTF-8"])
def test_the_readers_locale_chooses_it(translated: Path, locale: str) -> None:
    assert readers_language({"LANG": locale}) == "zh_CN"
    assert readers_language({"LANG": "fr_FR.UTF-8"}) == "en"
