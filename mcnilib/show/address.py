"""The address a page was opened with: how a link that carries a scenario reaches the notebook it opens."""

from __future__ import annotations

import anywidget
import traitlets

READER = """
export default {
  render({ model }) {
    const opened = performance.getEntriesByType("navigation")[0]?.name ?? "";
    if (opened.includes("mcni=") && !model.get("value")) {
      model.set("value", opened.slice(opened.indexOf("?")));
      model.save_changes();
    }
  },
};
"""
"""JupyterLab takes what follows the question mark out of the address bar; the browser remembers how it came here."""


class PageAddress(anywidget.AnyWidget):
    """Shows nothing; `value` becomes what followed the question mark when the page was opened, if it holds a state."""

    _esm = READER
    value = traitlets.Unicode("").tag(sync=True)
