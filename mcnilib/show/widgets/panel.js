// What only the page can do for a panel: keys pressed in it are its own, a group of buttons is one stop of the Tab key
// in which the arrow keys move, names and states are told to screen readers.
// Source: WAI-ARIA Authoring Practices (Radio Group, Grid); JupyterLab takes keys at the document, as they bubble up.

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TOGGLES = ".widget-toggle-buttons", TABLE = ".mcni-table";

const buttonsOf = (group) => [...group.querySelectorAll("button")].filter((button) => !button.disabled);

/** Make the chosen button, or the one with the focus, the only one of its group that Tab stops at. */
function rove(group) {
  const buttons = buttonsOf(group);
  const chosen = group.querySelector("button.mod-active, button.chosen");
  const stop = [document.activeElement, chosen].find((button) => buttons.includes(button)) ?? buttons[0];
  for (const button of buttons) button.setAttribute("tabindex", button === stop ? "0" : "-1");
}

/** Return the button an arrow key leads to: round and round in a row of toggles, to the edge in a table. */
function reached(group, from, [right, down]) {
  const buttons = buttonsOf(group), at = buttons.indexOf(from);
  if (group.matches(TOGGLES)) return buttons[(at + right + down + buttons.length) % buttons.length];
  const here = from.getBoundingClientRect();
  const beyond = (box) => right ? box.top === here.top && (box.left - here.left) * right : box.left === here.left && (box.top - here.top) * down;
  const ways = buttons.map((button) => [beyond(button.getBoundingClientRect()), button]).filter(([way]) => way > 0);
  return ways.sort(([a], [b]) => a - b)[0]?.[1] ?? from;
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ["Tab", "Escape"].includes(event.key)) return;
  event.stopPropagation();
  const group = event.target.closest(`${TOGGLES}, ${TABLE}`);
  if (!group || !(event.key in STEPS)) return;
  event.preventDefault();
  const button = reached(group, event.target, STEPS[event.key]);
  button.focus();
  if (group.matches(TOGGLES)) button.click();
  rove(group);
}

function dress(panel) {
  for (const group of panel.querySelectorAll(TOGGLES)) {
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", group.querySelector("label")?.textContent ?? "");
    for (const button of buttonsOf(group)) {
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", String(button.classList.contains("mod-active")));
    }
  }
  panel.querySelectorAll(`${TOGGLES}, ${TABLE}`).forEach(rove);
  for (const button of panel.querySelectorAll("button.mcni-more"))
    button.setAttribute("aria-expanded", String(button.classList.contains("mod-active")));
  for (const box of [...panel.querySelectorAll(".widget-html")].filter((part) => part.style.overflow === "auto"))
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex"); // nothing to scroll
  for (const handle of panel.querySelectorAll("[role=slider]:not([aria-label])"))
    handle.setAttribute("aria-label", handle.closest(".widget-slider")?.querySelector("label")?.textContent ?? "");
}

/** Do something once per frame, however often it is asked for. */
function oncePerFrame(action) {
  let asked = false;
  return () => {
    if (!asked) requestAnimationFrame(() => { asked = false; action(); });
    asked = true;
  };
}

export default {
  render({ el }) {
    const aside = new AbortController(), watch = new MutationObserver(() => again());
    let panel = null;
    const again = oncePerFrame(() => {
      if (aside.signal.aborted) return;
      if (panel) return dress(panel);
      panel = el.closest(".mcni-panel");
      if (!panel) return again(); // not in the page yet
      panel.addEventListener("keydown", pressed, { signal: aside.signal });
      watch.observe(panel, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
      dress(panel);
    });
    again();
    return () => { aside.abort(); watch.disconnect(); };
  },
};
