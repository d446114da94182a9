"""The style sheets of panels: readable sizes, marks that do not rely on colour, the theme's own colours around them."""

from __future__ import annotations

from string import Template

from mcnilib.show.picture.palette import INK, QUIET_INK, ROLES

PANEL_RULES = Template(
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

CONCLUSION_RULES = Template(
    """<style>
.mcni-table { max-width: 1240px; gap: 4px; margin-top: 6px; }
.mcni-table .head { font-size: ${SIZE}px; font-weight: 600; line-height: 1.3; align-self: end; }
.mcni-table button { width: auto; height: ${HIGH}px; margin: 0; padding: 0 2px; }
.mcni-table button { font-size: ${SIZE}px; line-height: 1.35; overflow: hidden; }
.mcni-table button { white-space: pre-line; color: ${INK}; border: 1px solid ${QUIET_INK}; opacity: 1; }
.mcni-table button.works { background: #E3F3EE; }
.mcni-table button.fails { background: #FBE9DD; font-weight: 600; border: 2px dashed ${DROP}; }
.mcni-table button.chosen { outline: 4px solid ${BLUE} !important; outline-offset: -1px !important; }
.mcni-table button:focus-visible { box-shadow: 0 0 0 6px ${QUIET_INK}; }
.mcni-document { table-layout: fixed; width: 100%; max-width: 1240px; border-collapse: collapse; }
.mcni-document { font-size: ${SIZE}px; margin: 6px 0; }
.mcni-document caption { text-align: left; font-weight: 600; padding: 4px 0; }
.mcni-document th, .mcni-document td { border: 1px solid ${QUIET_INK}; padding: 2px 6px; text-align: left; }
.mcni-document td.wrong { border: 3px double ${DROP}; font-weight: 600; }
</style>"""
)
"""Sizes in pixels, and the colours of the palette."""


def style_sheet(scale: float = 1.0) -> str:
    """Return the style sheet of every panel as an HTML element; `scale` enlarges text for a projector."""
    sizes = {"SIZE": 13.0, "LARGE": 16.25, "HIGH": 28.6, "CODE": 12.48}
    return PANEL_RULES.substitute({name: f"{size * scale:g}" for name, size in sizes.items()})


def conclusion_style(scale: float) -> str:
    """Return the style sheet of the conclusion's two tables; `scale` enlarges them."""
    colours = {"INK": INK, "QUIET_INK": QUIET_INK, "DROP": ROLES["drop"].colour, "BLUE": ROLES["request"].colour}
    return CONCLUSION_RULES.substitute(colours, SIZE=f"{13 * scale:g}", HIGH=f"{46 * scale:g}")
