// A conversation whose steps are all there: walk through it by buttons, slider and arrow keys. Nothing is asked of anybody.

const part = (root, name) => root.querySelector(`[data-part="${name}"]`);

export class Steps {
  // `root` holds the parts, `packed` is what mcnilib.show.walkthrough packs; `onStep` hears which step is shown.
  constructor(root, { onStep = () => {} } = {}) {
    this.root = root;
    this.onStep = onStep;
    this.packed = { pieces: [], steps: [] };
    part(root, "at").addEventListener("input", event => this.show(Number(event.target.value)));
    for (const button of root.querySelectorAll("[data-move]"))
      button.addEventListener("click", () => this.move(Number(button.dataset.move)));
    part(root, "table").addEventListener("click", event => {
      const row = [...this.rows()].indexOf(event.target.closest("tbody tr"));
      if (row >= 0 && !getSelection().toString()) this.show(row + 1);
    });
    document.addEventListener("keydown", event => this.onKey(event));
  }

  take(packed, step = 0) {
    this.packed = packed;
    part(this.root, "at").max = this.last;
    this.show(step);
  }

  get last() { return this.packed.steps.length - 1; }

  rows() { return part(this.root, "table").querySelectorAll("tbody tr"); }

  html(ranges) {
    let html = "";
    for (let i = 0; i < ranges.length; i += 2) html += this.packed.pieces.slice(ranges[i], ranges[i + 1]).join("");
    return html;
  }

  move(by) {
    this.show(by ? this.step + by : 0);
  }

  show(step) {
    this.step = Math.max(0, Math.min(this.last, step));
    const { says, picture, listing } = this.packed.steps[this.step];
    part(this.root, "picture").innerHTML = this.html(picture);
    part(this.root, "listing").innerHTML = this.html(listing);
    this.mark();
    const slider = part(this.root, "at");
    const where = this.step ? `step ${this.step} of ${this.last}: ${says}` : says;
    slider.value = this.step;
    slider.setAttribute("aria-valuetext", where);
    part(this.root, "where").textContent = where;
    for (const button of this.root.querySelectorAll("[data-move]"))
      button.disabled = this.step === (button.dataset.move === "1" ? this.last : 0);
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
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || this.last < 1 || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest?.("input, select, textarea, .picture, .table")) return;
    event.preventDefault();
    this.move(by);
  }
}
