// What would help? The interpreter tries changes on the model; a change of settings is applied by a click, commands are
// copied. Which verb is asked, the place says (`data-verb`); whoever shows a conversation says its state (`mcni-view`).
import { ask, complain } from "./engine.js";
import { tr } from "./words.js";

const REST = 300;  // milliseconds without a click before the changed lines are asked for
const part = (article, name) => article.querySelector(`.repairs ${name}`);
const verb = article => article.querySelector(".repairs").dataset.verb;
const states = new Map();  // article -> the state that is on the screen
const found = new Map();   // state -> what was found for it

async function search(article) {
  const state = states.get(article) ?? `mcni=${article.id}`, bar = part(article, "progress");
  if (!found.has(state)) {
    say(article, tr("Trying every change on the model …"));
    part(article, "[data-fix]").disabled = true;
    bar.hidden = false;
    try {
      found.set(state, await ask(verb(article), JSON.stringify({ state }), { onShare: share => { bar.value = share; } }));
    } catch (problem) {
      say(article, "");
      complain(problem.message);
    }
    bar.hidden = true;
    part(article, "[data-fix]").disabled = false;
  }
  if (found.has(state) && state === (states.get(article) ?? state)) show(article, found.get(state));
}

function say(article, text) {
  part(article, "[role=status]").textContent = text;
}

function show(article, { says, repairs }) {
  say(article, says);
  part(article, ".found").innerHTML = repairs;
}

function apply(article, settings) {
  const form = article.querySelector("form");
  for (const [name, value] of Object.entries(JSON.parse(settings))) form.elements[name].value = value;
  form.dispatchEvent(new Event("change", { bubbles: true }));
  article.scrollIntoView();
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.commands);
    button.textContent = tr("Copied");
  } catch {
    getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
  }
}

// Which lines of state a click changed: asked when the reader rests, put below what changed.
async function tellChanges(article, from, state) {
  await new Promise(done => setTimeout(done, REST));
  const at = article.querySelector('[data-part="compared"]');
  if (states.get(article) !== state || !at?.childElementCount) return;
  const { changes } = await ask("changes", JSON.stringify({ from, state })).catch(() => ({ changes: "" }));
  if (states.get(article) === state && !at.querySelector("details")) at.insertAdjacentHTML("beforeend", changes);
}

document.addEventListener("mcni-view", ({ target: article, detail: { state } }) => {
  const from = states.get(article);
  if (from === state || !part(article, ".found")) return;
  states.set(article, state);
  show(article, { says: "", repairs: "" });
  if (from && verb(article) === "fix") tellChanges(article, from, state);
});

for (const place of document.querySelectorAll(".repairs"))
  place.addEventListener("click", ({ target }) => {
    const article = place.closest("article"), { fix, settings, commands } = target.dataset;
    if (fix !== undefined) search(article);
    if (settings) apply(article, settings);
    if (commands) copy(target);
  });
