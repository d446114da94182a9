"""The style sheet of panels: readable sizes, marks that do not rely on colour, the colours of the theme around them."""

from __future__ import annotations

import re
from html import escape
from string import Template

RULES = Template(
    """<style>
.mcni { font-size: ${SIZE}px; line-height: 1.45; max-width: 1240px; }
.mcni-settings .widget-dropdown, .mcni-settings .widget-toggle-buttons { display: flex; flex-direction: column; }
.mcni-settings .widget-dropdown, .mcni-settings .widget-toggle-buttons { align-items: flex-start; height: auto; }
.mcni-settings .widget-label { font-size: ${SIZE}px; height: auto; line-height: 1.4; text-align: left; }
.mcni-settings button, .mcni-settings select, .mcni-stepper button { flex: 0 0 auto; }
.mcni-settings button, .mcni-settings select, .mcni-stepper button { height: ${HIGH}px; }
.mcni-settings button, .mcni-settings select, .mcni-stepper button { font-size: ${SIZE}px; }
.mcni-verdict.mcni { font-size: ${LARGE}px; font-weight: 600; min-height: 2.9em; }
.mcni-side .mcni-verdict.mcni { min-height: 4.5em; }
.mcni-verdict code { background: none; color: inherit; font-size: 0.92em; }
.mcni-claim { border-left: 4px solid #5C6570; padding: 2px 10px; margin: 4px 0; }
.mcni-steps { border-collapse: collapse; font-size: ${SIZE}px; display: block; max-height: 460px; overflow: auto; }
.mcni-steps caption { text-align: left; font-weight: 600; padding: 4px 0; }
.mcni-steps th, .mcni-steps td { padding: 3px 8px; vertical-align: top; text-align: left; }
.mcni-steps td { overflow-wrap: anywhere; min-width: 5em; }
.mcni-steps td:last-child { min-width: 8em; }
.mcni-steps th, .mcni-steps td { border-bottom: 1px solid rgba(128, 128, 128, .35); }
.mcni-steps code, .mcni-state code { white-space: pre-wrap; font-size: ${CODE}px; }
.mcni-steps code, .mcni-state code { background: none; color: inherit; }
.mcni code .word { display: inline-block; }
.mcni-steps tr.lost th, .mcni-steps tr.lost td { font-weight: 600; }
.mcni-steps tr.current { outline: 3px solid #0072B2; outline-offset: -3px; }
.mcni-state h4 { font: 600 ${SIZE}px monospace; margin: 8px 0 2px; }
.mcni-state .line { font-family: monospace; padding: 1px 4px; }
.mcni-state .line.decided { font-weight: 700; border: 2px solid #B84E00; border-radius: 4px; }
.mcni-state .note { opacity: .8; font-family: sans-serif; }
</style>"""
)
"""Sizes in pixels: text, the verdict, the height of a control, code."""

HYPHENATED = re.compile(r"\S*-\S+")


def code(text: str) -> str:
    """Return text as code."""
    return as_code(escape(text))


def as_code(html: str) -> str:
    """Return escaped text as code: a word with hyphens begins a new line rather than break after one of them."""
    return f"<code>{HYPHENATED.sub(_unbroken, html)}</code>"


def _unbroken(word: re.Match[str]) -> str:
    return f'<span class="word">{word[0]}</span>'


def style_sheet(scale: float = 1.0) -> str:
    """Return the style sheet as an HTML element; `scale` enlarges text for a projector."""
    sizes = {"SIZE": 13.0, "LARGE": 16.25, "HIGH": 28.6, "CODE": 12.48}
    return RULES.substitute({name: f"{size * scale:g}" for name, size in sizes.items()})
