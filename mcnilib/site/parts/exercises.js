// Exercises: typed commands are carried out by the model, which says what they did and whether that is what was asked.
// What was run last is told to the explorer, which keeps it in the address: `mcni-look`.
import { ask, complain } from "./engine.js";
import { tr } from "./words.js";

const PATIENCE = 250;  // milliseconds before the page says that it works on an answer

const lastRun = new Map();  // article -> the exercise that was run last; null for those of a lesson, which stand in none
const phone = matchMedia("(max-width: 700px)");
const which = form => ({ scenario: Number(form.dataset.scenario), number: Number(form.dataset.number) });
const said = form => form.querySelector(".said");

async function run(form) {
  const late = setTimeout(() => { said(form).textContent = tr("Working on it …"); }, PATIENCE);
  const answer = form.querySelector("textarea").value;
  form.dataset.ran = answer;
  lastRun.set(form.closest("article"), form);
  try {
    const judged = await ask("attempt", JSON.stringify({ ...which(form), answer, narrow: phone.matches }));
    if (form.dataset.ran === answer) show(form, judged);
  } catch (problem) {
    said(form).textContent = "";
    complain(problem.message);
  }
  clearTimeout(late);
}

function runAndTell(form) {
  run(form);
  form.dispatchEvent(new CustomEvent("mcni-look", { bubbles: true, detail: triedIn(form.closest("article")) }));
}

function clear(form) {
  delete form.dataset.ran;
  form.classList.remove("done");
  for (const at of form.querySelectorAll(".said, .shown")) at.replaceChildren();
  form.querySelector("textarea").value = "";
}

const formsOf = article => [...document.querySelectorAll(".exercise")].filter(form => [article, null].includes(form.closest("article")));
export const hasExercise = (article, number) => formsOf(article).some(form => form.dataset.number === number);

// Which exercise was run last, and with which commands.
export function triedIn(article) {
  const { number: exercise, ran: commands } = (lastRun.get(article) ?? lastRun.get(null))?.dataset ?? {};
  return { exercise, commands };
}

// Runs an exercise as an address says it, unless it was; what else was run is taken back.
export function retry(article, { exercise, commands }, reveals) {
  if (exercise === undefined) for (const from of [article, null]) lastRun.delete(from);
  for (const form of formsOf(article)) {
    const asked = form.dataset.number === exercise;
    if (asked) form.querySelector("textarea").value = commands;
    if (asked && form.dataset.ran !== commands) run(form).then(() => { if (reveals) said(form).scrollIntoView({ block: "center" }); });
    if (!asked && form.dataset.ran !== undefined) clear(form);
  }
}

function show(form, { done, says, printed, picture, state }) {
  form.classList.toggle("done", done);
  const { scenario, number } = form.dataset;
  if (done && parent !== window) parent.postMessage({ mcniSolved: `${scenario}.${number}` }, location.origin);  // scorm.js
  said(form).innerHTML = says;
  const frame = picture && `<div class="picture" tabindex="0" role="group" aria-label="${tr("picture")}">${picture}</div>`;
  form.querySelector(".shown").innerHTML = printed + frame + state;
}

async function help(form, button) {
  const number = Number(button.dataset.help);
  const { help: text, more } = await ask("help", JSON.stringify({ ...which(form), help: number }));
  const line = form.querySelector(".more").appendChild(document.createElement("p"));
  line.innerHTML = text;
  button.dataset.help = number + 1;
  button.textContent = tr("Show a solution");
  if (more) return;
  button.remove();
  form.querySelector("textarea").focus();
}

for (const form of document.querySelectorAll(".exercise")) {
  form.addEventListener("submit", event => { event.preventDefault(); runAndTell(form); });
  form.addEventListener("keydown", event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) runAndTell(form); });
  const button = form.querySelector("[data-help]");
  button?.addEventListener("click", () => help(form, button).catch(problem => complain(problem.message)));
}
