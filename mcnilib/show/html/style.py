"""The style sheet of panels: readable sizes, marks that do not rely on colour, the theme's own colours around them.

Everything a panel says has a multiple of its own text size, so that one panel of a page can be larger than another.
"""

from __future__ import annotations

from string import Template

from mcnilib.show.html.markup import Html
from mcnilib.show.picture.palette import INK, QUIET_INK, ROLES, theme_rules

TEXT_SIZE = 13
"""Pixels, before anything is enlarged."""

RULES = Template(
    """
.mcni-panel { --mcni-text: calc(${TEXT_SIZE}px * var(--mcni-scale, 1)); }
.mcni { font-size: var(--mcni-text); line-height: 1.45; max-width: 1240px; }
.mcni-settings .widget-dropdown, .mcni-settings .widget-toggle-buttons { display: flex; flex-direction: column; }
.mcni-settings .widget-dropdown, .mcni-settings .widget-toggle-buttons { align-items: flex-start; height: auto; }
.mcni-settings .widget-label { font-size: var(--mcni-text); height: auto; line-height: 1.4; text-align: left; }
.mcni-settings button, .mcni-settings select, .mcni-stepper button { flex: 0 0 auto; }
.mcni-settings button, .mcni-settings select, .mcni-stepper button { height: calc(2.2 * var(--mcni-text)); }
.mcni-settings button, .mcni-settings select, .mcni-stepper button { font-size: var(--mcni-text); }
.mcni-verdict.mcni { font-size: calc(1.25 * var(--mcni-text)); font-weight: 600; min-height: 2.9em; }
.mcni-side .mcni-verdict.mcni { min-height: 5.8em; }
.mcni-side h4 { margin: 6px 0; }
.mcni-verdict code { background: none; color: inherit; font-size: 0.92em; }
.mcni-claim { border-left: 4px solid #5C6570; padding: 2px 10px; margin: 4px 0; }
.mcni-steps { border-collapse: collapse; font-size: var(--mcni-text); }
.mcni-scroll { max-height: 460px; overflow: auto; }
.mcni-steps caption { text-align: left; font-weight: 600; padding: 4px 0; }
.mcni-steps th, .mcni-steps td { padding: 3px 8px; vertical-align: top; text-align: left; }
.mcni-steps td { overflow-wrap: anywhere; min-width: 5em; }
.mcni-steps td:last-child { min-width: 8em; }
.mcni-steps th, .mcni-steps td { border-bottom: 1px solid rgba(128, 128, 128, .35); }
.mcni-steps code, .mcni-state code { white-space: pre-wrap; font-size: calc(0.96 * var(--mcni-text)); }
.mcni-steps code, .mcni-state code { background: none; color: inherit; }
.mcni code .word { display: inline-block; }
.mcni-steps tr.lost th, .mcni-steps tr.lost td { font-weight: 600; }
.mcni-steps tr.current { outline: 3px solid #0072B2; outline-offset: -3px; }
.mcni-state h4 { font: 600 var(--mcni-text) monospace; margin: 8px 0 2px; }
.mcni-state .line { font-family: monospace; padding: 1px 4px 1px 44px; text-indent: -40px; }
.mcni-state .line.decided { font-weight: 700; border: 2px solid #B84E00; border-radius: 4px; }
.mcni-state .note { opacity: .8; font-family: sans-serif; }
.mcni-table { max-width: 1240px; gap: 4px; margin-top: 6px; }
.mcni-table .head { font-size: var(--mcni-text); font-weight: 600; line-height: 1.3; align-self: end; }
.mcni-table button { width: auto; height: calc(3.54 * var(--mcni-text)); margin: 0; padding: 0 2px; }
.mcni-table button { font-size: var(--mcni-text); line-height: 1.35; overflow: hidden; }
.mcni-table button { white-space: pre-line; color: ${INK}; border: 1px solid ${QUIET_INK}; opacity: 1; }
.mcni-table button.works { background: #E3F3EE; }
.mcni-table button.fails { background: #FBE9DD; font-weight: 600; border: 2px dashed ${DROP}; }
.mcni-table button.chosen { outline: 4px solid ${BLUE} !important; outline-offset: -1px !important; }
.mcni-table button:focus-visible { box-shadow: 0 0 0 6px ${QUIET_INK}; }
.mcni-document { table-layout: fixed; width: 100%; max-width: 1240px; border-collapse: collapse; }
.mcni-document { font-size: var(--mcni-text); margin: 6px 0; }
.mcni-document caption { text-align: left; font-weight: 600; padding: 4px 0; }
.mcni-document th, .mcni-document td { border: 1px solid ${QUIET_INK}; padding: 2px 6px; text-align: left; }
.mcni-document td.wrong { border: 3px double ${DROP}; font-weight: 600; }
.mcni-panel { --mcni-beside: 180px; }
.mcni-settings select { max-width: 11em; }
.mcni-stepper .where { display: flex; align-items: center; flex: 1 1 18em; min-height: 2.7em; }
.mcni-stepper .where { font-size: var(--mcni-text); line-height: 1.35; }
.mcni-player .stepper:not([hidden]) { display: flex; flex-flow: row wrap; gap: 6px; align-items: center; }
.mcni-player .stepper button { font-size: var(--mcni-text); min-height: 28px; padding: 2px 10px; }
.mcni-player .mcni-verdict { font-size: calc(1.15 * var(--mcni-text)); font-weight: 600; min-height: 3em; }
.mcni-player .picture { overflow: auto; }
.mcni-share input { font-size: var(--mcni-text); }
.mcni-panel :is(button, select, input, textarea, [role=slider]):focus-visible { outline: 3px solid ${BLUE}; }
${THEME}"""
).substitute(
    TEXT_SIZE=str(TEXT_SIZE),
    INK=INK,
    QUIET_INK=QUIET_INK,
    DROP=ROLES["drop"].colour,
    BLUE=ROLES["request"].colour,
    THEME=theme_rules(),
)
"""The same in each panel of a page, and without effect outside of panels."""


def scale_class(scale: float) -> str:
    """Return the class of panels that are enlarged so."""
    return f"mcni-scale-{scale:g}".replace(".", "-")


def style_sheet(scale: float) -> Html:
    """Return the style sheet of a panel as an HTML element; `scale` enlarges the texts of panels with its class."""
    return Html(f"<style>{RULES}\n.{scale_class(scale)} {{ --mcni-scale: {scale:g}; }}\n</style>")
