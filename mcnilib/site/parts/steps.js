// A conversation whose steps are all there: walk through it by buttons, slider and arrow keys. Nothing is asked of anybody.

import { tr } from "./words.js";

const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

// Shows where one stands, 0 for the whole conversation; `says` tells it in words.
export function setStepper(root, step, last, says) {
  const slider = part(root, "at");
  const where = step ? tr("step {step} of {last}: {says}", { step, last, says }) : says;
  slider.max = last;
  slider.value = step;
  slider.setAttribute("aria-valuetext", where);
  part(root, "where").textContent = where;
  for (const button of root.querySelectorAll("[data-move]"))
    button.disabled = step === (button.dataset.move === "1" ? last : 0);
}

// The step of a packet, of those at `places`: as far as it was followed, else its first; 0 where it has none.
export function stepOf(places, [packet, index]) {
  const last = places.findLastIndex(([number, at]) => number === packet && at <= index);
  return 1 + (last < 0 ? places.findIndex(([number]) => number === packet) : last);
}

// Where a click leads: the packet and the index of the step that a sign in the picture marks, or at which it fails.
export function placeOf({ target }) {
  const at = target.closest?.("[data-part=picture] [data-at], [data-part=failure]")?.dataset.at;
  return at?.split(" ").map(Number);
}

export function showLine(root) {
  const listing = part(root, "listing");
  (listing.querySelector(".decided") ?? listing).scrollIntoView({ block: "nearest" });
}

export function setFailure(root, failure) {
  const button = part(root, "failure");
  button.hidden = !failure;
  button.dataset.at = failure?.join(" ") ?? "";
}

// Returns the steps an arrow key goes on, 1 or -1; nothing for other keys, and where an arrow has another meaning.
export function arrow(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return undefined;
  if (event.target.closest?.("input:not([type=checkbox]), select, textarea, .times")) return undefined;
  const frame = event.target.closest?.(".picture, .table");
  if (frame && frame.scrollWidth > frame.clientWidth) return undefined;  // there an arrow scrolls
  return { ArrowLeft: -1, ArrowRight: 1 }[event.key];
}

// Returns the text that consists of these pieces: [from, to, from, to, ...].
export function joined(pieces, ranges) {
  let text = "";
  for (let i = 0; i < ranges.length; i += 2) text += pieces.slice(ranges[i], ranges[i + 1]).join("");
  return text;
}

export class Steps {
  // `root` holds the parts, `packed` is what mcnilib.show.walkthrough packs; `onStep` hears which step is shown.
  constructor(root, { onStep = () => {} } = {}) {
    this.root = root;
    this.onStep = onStep;
    this.packed = { pieces: [], steps: [], places: [] };
    part(root, "at").addEventListener("input", event => this.show(Number(event.target.value)));
    for (const button of root.querySelectorAll("[data-move]"))
      button.addEventListener("click", () => this.move(Number(button.dataset.move)));
    part(root, "table").addEventListener("click", event => {
      const row = [...this.rows()].indexOf(event.target.closest("tbody tr"));
      if (row >= 0 && !getSelection().toString()) this.show(row + 1);
    });
    root.addEventListener("click", event => {
      const place = placeOf(event);
      if (!place) return;
      this.show(stepOf(this.packed.places, place));
      showLine(root);
    });
    document.addEventListener("keydown", event => this.onKey(event));
  }

  take(packed, step = 0) {
    this.packed = packed;
    setFailure(this.root, packed.failure);
    this.show(step);
  }

  get last() { return this.packed.steps.length - 1; }

  rows() { return part(this.root, "table").querySelectorAll("tbody tr"); }

  html(ranges) { return joined(this.packed.pieces, ranges); }

  move(by) {
    this.show(by ? this.step + by : 0);
  }

  show(step) {
    this.step = Math.max(0, Math.min(this.last, step));
    const { says, picture, listing } = this.packed.steps[this.step];
    part(this.root, "picture").innerHTML = this.html(picture);
    part(this.root, "listing").innerHTML = this.html(listing);
    this.mark();
    setStepper(this.root, this.step, this.last, says);
    this.onStep(this.step);
  }

  mark() {
    const table = part(this.root, "table");
    this.rows().forEach((row, number) => {
      const current = number + 1 === this.step;
      row.classList.toggle("current", current);
      if (current) row.setAttribute("aria-current", "step"); else row.removeAttribute("aria-current");
      if (current) table.scrollTop = row.offsetTop - table.clientHeight / 2;
    });
    if (!this.step) table.scrollTop = 0;
  }

  onKey(event) {
    const by = arrow(event);
    if (!by || this.last < 1) return;
    event.preventDefault();
    this.move(by);
  }
}
