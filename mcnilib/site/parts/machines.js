// What every machine holds at the moment that is looked at: asked when the reader opens it, and again with each step.
// Which one it is, the explorer keeps: it hears `mcni-look`, and says `lookInto`.
import { ask, complain } from "./engine.js";

const unfolded = new Set();  // headings of the long listings the reader opened
const views = {};  // what each panel shows: {state, step, depth}
let wanted, asking = false;  // the box that is to be filled next, and whether one is being filled

function questionOf(box) {
  const { id, dataset } = box.closest("article"), { who = "" } = box.dataset;
  const { state, step, depth } = views[id] ?? { state: dataset.state ?? `mcni=${id}`, step: 0, depth: "hops" };
  return JSON.stringify({ state, step, depth, who });
}

async function fill(box) {
  wanted = box;
  if (asking) return;  // one question at a time: while a conversation is played, steps are left out
  asking = true;
  while (wanted) {
    const filled = wanted;
    wanted = undefined;
    await ask("machine", questionOf(filled)).then(answer => put(filled, answer), problem => failed(filled, problem));
  }
  asking = false;
}

// Of a machine that does not exist: then the place of the decision is shown, and the choices.
function failed(box, problem) {
  complain(problem.message);
  if (!box.dataset.who) return;
  box.dataset.who = "";
  wanted ??= box;
}

// The machine that is looked into, empty for the place of the decision; undefined while nothing is.
export const machineOf = article => {
  const box = article.querySelector(".machines");
  return box.firstChild.open ? box.dataset.who ?? "" : undefined;
};

export function lookInto(article, who) {
  const box = article.querySelector(".machines");
  if (who !== undefined) box.dataset.who = who;
  check(box);
  box.firstChild.open = who !== undefined;
}

function check(box) {
  const { who } = box.dataset;
  for (const knob of box.querySelectorAll("input")) knob.checked = who ? knob.value === who : knob.defaultChecked;
}

function put(box, { choices, about, connections, state }) {
  const panel = box.querySelector(".machine"), form = box.querySelector("form");
  if (!form.firstChild) form.innerHTML = choices;
  check(box);
  box.querySelector("output").textContent = about;
  box.querySelector(".connections").innerHTML = connections;
  panel.innerHTML = state;
  panel.hidden = !state;
  for (const details of panel.querySelectorAll("details"))
    details.open = unfolded.has(heading(details));
  const line = panel.querySelector("[aria-current]");
  panel.scrollTop = line ? line.offsetTop - panel.clientHeight / 3 : 0;
}

const heading = details => details.querySelector("summary code").textContent;

function listen(box) {
  const tell = () => box.dispatchEvent(new CustomEvent("mcni-look", { bubbles: true, detail: { machine: machineOf(box.closest("article")) } }));
  box.firstChild.addEventListener("toggle", tell);
  box.addEventListener("change", event => { box.dataset.who = event.target.value; tell(); });
  box.querySelector(".machine").addEventListener("toggle", ({ target }) => {
    if (target.open) unfolded.add(heading(target)); else unfolded.delete(heading(target));
  }, true);
}

for (const box of document.querySelectorAll(".machines")) listen(box);
document.addEventListener("mcni-view", ({ detail, target }) => {
  views[target.id] = detail;
  const box = target.querySelector(".machines");
  if (box.firstChild.open) fill(box);
});
