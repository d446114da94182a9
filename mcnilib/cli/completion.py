"""`mcni completion`: what a shell may complete, derived from the verbs and options themselves."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcnilib.cli.common import OWNER, add_verb
from mcnilib.language import mark, tr
from mcnilib.scenarios import all_scenarios

EXAMPLES = mark("""examples:
  eval "$(mcni completion bash)"        # in ~/.bashrc
  eval "$(mcni completion zsh)"         # in ~/.zshrc
  mcni completion fish | source         # in ~/.config/fish/config.fish
""")
SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class _Verb:
    """What may follow a verb: options with their help and values, and words that need no dash."""

    name: str
    help: str
    options: Mapping[str, str]
    values: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]


def add_verbs(verbs: Any) -> None:
    """Add the verb to the command line."""
    said = tr("print what completes verbs, scenarios and options in a shell")
    completion = add_verb(
        verbs, "completion", said, print_completion, EXAMPLES, tr("print what may follow which verb as JSON")
    )
    completion.add_argument("shell", choices=SHELLS, help=tr("for which shell"))
    completion.set_defaults(**{OWNER: verbs})


def print_completion(arguments: argparse.Namespace) -> int:
    """Print the script of a shell."""
    verbs = tuple(known_verbs(getattr(arguments, OWNER)))
    if arguments.json:
        described = {
            verb.name: {"options": dict(verb.options), "values": dict(verb.values), "words": verb.words}
            for verb in verbs
        }
        print(json.dumps(described, indent=1))
    else:
        print({"bash": bash, "zsh": zsh, "fish": fish}[arguments.shell](verbs), end="")
    return 0


def known_verbs(verbs: Any) -> Iterator[_Verb]:
    """Read the verbs out of the parser of the command line."""
    helps = {action.dest: action.help or "" for action in verbs._choices_actions}
    for name, parser in verbs.choices.items():
        flags = [(flag, action) for action in parser._actions for flag in action.option_strings if flag[:2] == "--"]
        named = any(action.dest == "scenario" for action in parser._actions)
        choices = [str(word) for a in parser._actions if not a.option_strings for word in a.choices or ()]
        stories = [story.name for story in all_scenarios()] if named else []
        yield _Verb(
            name,
            helps.get(name, ""),
            {flag: (action.help or "").replace("%%", "%") for flag, action in flags},
            {flag: values for flag, action in flags if (values := _values(action))},
            (*choices, *stories),
        )


def _values(action: argparse.Action) -> tuple[str, ...]:
    """Return the values an option takes, where there are few."""
    if action.choices:
        return tuple(map(str, action.choices))
    return tuple(action.metavar.split("|")) if isinstance(action.metavar, str) and "|" in action.metavar else ()


def bash(verbs: Iterable[_Verb]) -> str:
    """Return the completion of bash."""
    every = list(verbs)
    cases = "".join(
        f"        {verb.name}) words={shlex.quote(chr(10).join([*verb.options, *verb.words]))} ;;\n" for verb in every
    )
    values = "".join(
        f"        {verb.name}/{flag}) words={shlex.quote(chr(10).join(texts))} ;;\n"
        for verb in every
        for flag, texts in verb.values.items()
    )
    names = shlex.quote("\n".join(verb.name for verb in every))
    return BASH.format(cases=cases, values=values, names=names)


BASH = """\
_mcni() {{
    local IFS=$'\\n' words='' current=${{COMP_WORDS[COMP_CWORD]}}
    case ${{COMP_WORDS[1]}}/${{COMP_WORDS[COMP_CWORD-1]}} in
{values}    esac
    if [ "$COMP_CWORD" -eq 1 ]; then words={names}
    elif [ -z "$words" ]; then case ${{COMP_WORDS[1]}} in
{cases}    esac; fi
    COMPREPLY=()
    local word
    for word in $words; do
        case $word in "$current"*) COMPREPLY+=("$(printf '%q' "$word")") ;; esac
    done
}}
complete -o default -F _mcni mcni
"""


def zsh(verbs: Iterable[_Verb]) -> str:
    """Return the completion of zsh, which understands that of bash."""
    return f"autoload -Uz compinit bashcompinit && compinit && bashcompinit\n{bash(verbs)}"


def fish(verbs: Iterable[_Verb]) -> str:
    """Return the completion of fish."""
    return "".join(f"{line}\n" for verb in verbs for line in _fish(verb))


def _fish(verb: _Verb) -> Iterator[str]:
    yield f"complete -c mcni -n __fish_use_subcommand -a {verb.name} -d {_quoted(verb.help)}"
    here = f"complete -c mcni -n '__fish_seen_subcommand_from {verb.name}'"
    for flag, help in verb.options.items():
        texts = verb.values.get(flag)
        values = f" -x -a {_quoted(' '.join(map(_escaped, texts)))}" if texts else ""
        yield f"{here} -l {flag[2:]} -d {_quoted(help)}{values}"
    for word in verb.words:
        yield f"{here} -a {word}"


def _quoted(text: str) -> str:
    inner = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{inner}'"


def _escaped(word: str) -> str:
    return word.replace(" ", "\\ ")
