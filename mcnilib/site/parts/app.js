// The explorer: which view is shown, and how it gets onto the screen. What it shows, the interpreter says.
import { goal, listenToAxis, setMarks, stop } from "./axis.js";
import { ask, complain, start } from "./engine.js";
import { hasExercise, retry, triedIn } from "./exercises.js";
import { lookInto, machineOf } from "./machines.js";
import { fetchPrepared, prepared } from "./prepared.js";
import "./quiz.js";
import "./repair.js";
import { arrow, placeOf, setFailure, setStepper, showLine, stepOf } from "./steps.js";
import { tr } from "./words.js";

const KEPT = 400;  // answers that are remembered
const PATIENCE = 250;  // milliseconds before the page says that it works on an answer
const LONGEST = 4096;  // characters behind `#` that are read and written, as of a link
const BEHIND = ["step", "depth", "against", "everything", "machine", "exercise", "commands"];
const REST = 150;  // milliseconds without a click before the interpreter looks ahead

const FIRST = document.querySelector("article.chosen") ?? document.querySelector("article");
const byId = id => document.getElementById(id);
const part = (article, name) => article.querySelector(`[data-part="${name}"]`);
const form = article => article.querySelector("form");
// A panel of two states says with which it begins; any other is named after its scenario and begins as that does.
const home = article => article.dataset.state ?? `mcni=${article.id}`;
const nameOf = article => new URLSearchParams(home(article)).get("mcni");
const settings = article => Object.fromEntries(new FormData(form(article)));
const label = (article, name) => {
  const control = form(article).elements[name];
  return (control.length && !control.options ? control[0].closest("fieldset").querySelector("legend") : control.labels[0]).textContent;
};
// A value as the page writes it; the model knows it by its English text.
const shownText = (article, name, { settings: { [name]: value } }) => {
  const control = form(article).elements[name];
  const chosen = [...control.options ?? control].find(one => one.value === value);
  return (chosen?.labels?.[0] ?? chosen)?.textContent ?? value;
};
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

export const answers = new Map();  // key of a view -> its answer
let shown;       // {article} and what stands behind `#`: what is to be seen, perhaps still on its way
let wrong = "";  // what the address says that means nothing
let painted;     // the answer that is on the screen
let asked = 0;   // number of the last view asked for
let rest;        // what follows the picture onto the screen, until it is there
let urls = {};   // what each panel of the page shows, once it was asked for: id -> its address; kept with the history

const phone = matchMedia("(max-width: 700px)");
// Two pictures fit beside each other when each is narrow.
const viewOf = (state, { step, depth, against, everything }) =>
  ({ state, step, depth, ...against && { against }, ...(phone.matches || against) && { narrow: true }, ...everything && { everything } });
const keyOf = (name, values, { step, depth, against, everything }) =>
  JSON.stringify([name, Object.entries(values).sort(), step, depth, against, everything]);
const same = (one, view) => one.state === view.state && one.step === view.step && one.depth === view.depth
  && pinned(one) === (view.against ?? "") && one.everything === Boolean(view.everything);
const pinned = answer => answer.against?.state ?? "";
const valuesOf = view => { const { mcni, ...values } = Object.fromEntries(new URLSearchParams(view.state)); return [mcni, values]; };
const answered = view => [...answers.values()].find(one => same(one, view)) ?? prepared(...valuesOf(view), view);

function remember(answer) {
  answers.set(keyOf(answer.name, answer.settings, { ...answer, against: pinned(answer) }), answer);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
}

const query = pairs => pairs.map(pair => pair.map(encodeURIComponent).join("=")).join("&");
const stateOf = (name, values) => query([["mcni", name], ...Object.entries(values)]);

// Questions and answers

// `stays`: at the packet that is looked at, where there is one in what comes.
function show(change = {}, { history = "push", plays = false, stays = false } = {}) {
  if (!plays) stop();
  wrong = "";
  const at = stays && shown.place;
  shown = { ...shown, ...stays ? { step: 0 } : { place: undefined }, ...change };
  const { article } = shown;
  const view = viewOf(stateOf(nameOf(article), settings(article)), shown);
  const known = answers.get(keyOf(nameOf(article), settings(article), shown)) ?? prepared(nameOf(article), settings(article), view);
  return showView(view, known, history, at);
}

async function ofView(view) {
  const [name] = valuesOf(view);
  if (!view.narrow && [...document.querySelectorAll("article")].some(article => nameOf(article) === name)) await fetchPrepared(name);
  const answer = answered(view) ?? await ask("view", JSON.stringify(view));
  remember(answer);
  return answer;
}

async function showView(view, known, history, at) {
  const number = ++asked, { article } = shown;
  const late = setTimeout(() => { if (!known && history !== "start") busy(article, true); }, PATIENCE);
  try {
    let answer = known ?? await ofView(view);
    const step = at && number === asked ? stepOf(answer.places, at) : 0;
    if (step) answer = await ofView({ ...view, step });
    if (number === asked) paint(nameOf(article) === answer.name ? article : byId(answer.name), answer, history);
  } catch (problem) {
    if (number === asked) {
      complain(`${problem.message} ${wrong}`);
      if (!painted) part(article, "compared").replaceChildren();
    }
  }
  clearTimeout(late);
  busy(article, false);
  lookAhead(view, number);
}

async function lookAhead(view, number) {
  await pause(REST);
  if (number !== asked) return;
  if (!view.narrow) await fetchPrepared(valuesOf(view)[0]);
  for (const near of await ask("likely", JSON.stringify(view)).catch(() => [])) {
    if (number !== asked) return;
    await ofView(JSON.parse(near)).catch(() => {});
  }
}

function busy(article, is) {
  article.setAttribute("aria-busy", is);
}

// The screen

// How it ends and the picture come first; what stands below them follows when they are painted, with the address, whose
// change takes the browser as long as the picture does.
function paint(article, answer, history) {
  finish();
  if (!article) throw new Error(tr("The conversation {name} is not on this page; the explorer has it.", answer));
  complain(wrong);
  select(article);
  compare(article, answer);
  put(article, "picture", answer.picture);
  put(article, "verdict", answer.verdict);
  setControls(article, answer.settings);
  setStepper(article, answer.step, answer.steps.length, answer.step ? answer.steps[answer.step - 1] : tr("{count} steps", { count: answer.steps.length }));
  part(article, "depth").value = answer.depth;
  setFailure(article, answer.failure);
  setComparison(article, answer.against);
  setEverything(article, answer);
  shown = { ...shown, article, place: answer.places[answer.step - 1], step: answer.step, depth: answer.depth, against: pinned(answer), everything: answer.everything };
  painted = answer;
  const url = addressOf(answer), { machine } = shown;
  urls[article.id] = url;
  rest = () => { paintRest(article, answer, machine); address(article, url, history); };
  if (history === "start" || document.hidden) finish(); else afterFrame(finish);
}

function finish() {
  const now = rest;
  rest = undefined;
  now?.();
}

const afterFrame = action => requestAnimationFrame(() => setTimeout(action));

function paintRest(article, answer, machine) {
  put(article, "reasons", answer.reasons);
  put(article, "times", answer.times);
  put(article, "table", answer.table);
  put(article, "listing", answer.listing);
  part(article, "command").textContent = answer.command;
  part(article, "notebook").href = answer.notebook;
  part(article, "copied").textContent = "";
  setMarks(part(article, "times"), answer.step);
  lookInto(article, machine);
  article.dispatchEvent(new CustomEvent("mcni-view", { bubbles: true, detail: answer }));
  const table = part(article, "table"), row = table.querySelector("[aria-current]");
  if (row) table.scrollTop = row.offsetTop - table.clientHeight / 2;
}

function put(article, name, html) {
  const at = part(article, name);
  if (at.mcni !== html) at.innerHTML = at.mcni = html;
}

function compare(article, answer) {
  const at = part(article, "compared");
  if (painted?.name !== answer.name) { at.replaceChildren(); return; }
  const changed = Object.keys(answer.settings).filter(name => painted.settings[name] !== answer.settings[name]);
  if (!changed.length) return;
  const words = changed.map(name => tr("{setting} from {before} to {after}",
    { setting: label(article, name), before: shownText(article, name, painted), after: shownText(article, name, answer) }));
  const same = painted.verdict === answer.verdict;
  at.innerHTML = `<p><span></span> ${same ? "<span></span>" : tr("It was: {verdict}", { verdict: `<span>${painted.verdict}</span>` })}</p>`;
  const [first, second] = at.querySelectorAll("span");
  first.textContent = tr("Changed: {changes}.", { changes: words.join(tr("; ")) });
  if (same) second.textContent = tr("It ends as before.");
}

function setControls(article, values) {
  const now = settings(article);
  for (const [name, value] of Object.entries(values)) if (now[name] !== value) form(article).elements[name].value = value;
}

function setComparison(article, against) {
  article.classList.toggle("comparing", Boolean(against));
  article.dataset.against = against?.state ?? "";
  put(article, "picture-a", against?.picture ?? "");
  put(article, "told", against?.told ?? "");
  ["a", "b"].forEach((side, number) => {
    const name = part(article, `name-${side}`), says = against?.names[number];
    name.hidden = !against;
    name.textContent = `${side.toUpperCase()}: ${says || (side === "a" ? tr("the pinned state") : tr("still the same; change a setting"))}`;
  });
  article.querySelector('[data-pin=""]').hidden = !against;
}

// Where everything that has a place takes part, the switch would change nothing.
function setEverything(article, { everything, folds }) {
  const box = part(article, "everything");
  box.checked = everything;
  box.disabled = !folds;
}

function select(article) {
  for (const other of document.querySelectorAll("article.chosen")) if (other !== article) other.classList.remove("chosen");
  article.classList.add("chosen");
  if (!byId("scenario")) return;  // the page of a lesson: its articles are all to be seen
  byId("scenario").value = article.id;
  document.title = tr("{title} – Where does the packet go?", { title: article.querySelector("h2").textContent });
}

// The address bar is the state: `?mcni=NAME&SETTING=VALUE` as in every link; behind `#` how it is looked at: the step,
// the depth, the state it is compared with, whether everything is drawn, the machine that is looked into, and the
// commands typed into an exercise. All of it is text to the model, which says what it cannot read.

function addressOf({ state, ...answer }) {
  const { machine, exercise, commands } = shown, depth = answer.depth === "hops" ? undefined : answer.depth;
  const looks = { step: answer.step || undefined, depth, against: pinned(answer) || undefined, everything: answer.everything ? 1 : undefined, machine };
  const print = parts => query(Object.entries(parts).filter(([, value]) => value !== undefined));
  const all = print({ ...looks, exercise, commands }), behind = all.length > LONGEST ? print(looks) : all;
  return `?${state}${behind && `#${behind}`}`;
}

function address(article, url, history) {
  keepState(article, url);
  if (history === "start" || url === location.search + location.hash) return;
  window.history[history === "push" ? "pushState" : "replaceState"]({ urls: { ...urls } }, "", url);
}

// Links to where else a conversation is told keep its state; a lesson is read from its beginning where nothing was changed.
function keepState(article, url) {
  for (const link of article.querySelectorAll("[data-keeps]")) {
    const plain = link.dataset.keeps === "lesson" && url === `?${home(article)}`;
    link.href = link.getAttribute("href").split(/[?#]/)[0] + (plain ? "" : url);
  }
}

function parse(hash) {
  if (!hash.includes("=")) return { said: {}, faults: [] };  // a heading of the page
  if (hash.length > LONGEST) return { said: {}, faults: [tr("Of the address at most {most} characters behind # are read; these are {count}.", { most: LONGEST, count: hash.length })] };
  const said = Object.fromEntries(new URLSearchParams(hash)), faults = [];
  for (const name of Object.keys(said).filter(name => !BEHIND.includes(name)))
    faults.push(tr("“{name}” means nothing behind # of an address; there may be {names}.", { name, names: BEHIND.join(", ") }));
  if (!/^\d{1,6}$/.test(said.step ?? 0)) faults.push(tr("A step is a number, not “{step}”.", said));
  if ((said.everything ?? "1") !== "1") faults.push(tr("“everything” is 1 or not there, not “{everything}”.", said));
  if (said.commands !== undefined && said.exercise === undefined) faults.push(tr("The address has commands, but not the exercise they are for."));
  return { said, faults };
}

// `panel` is the one the address is of, where it does not say so itself.
function follow(opening = false, { search: asks, hash } = location, panel = undefined) {
  const { said, faults } = parse(hash.slice(1));
  const step = Number.parseInt(said.step, 10) || 0, { depth = "hops", against = "", machine, exercise } = said;
  const everything = said.everything === "1", commands = exercise === undefined ? undefined : said.commands ?? "";
  const named = byId(hash.slice(1))?.closest("article");
  const search = asks.includes("mcni=") ? asks.slice(1) : "";
  const name = new URLSearchParams(search).get("mcni");
  const state = !named || nameOf(named) === name ? search : "";
  const pair = against && [...document.querySelectorAll("article.pair")].find(other => nameOf(other) === name);
  const article = panel ?? named ?? (pair || name && byId(name) || FIRST);
  const known = exercise === undefined || hasExercise(article, exercise);
  if (!known) faults.push(tr("This conversation has no exercise “{exercise}”.", { exercise }));
  wrong = faults.join(" ");
  select(article);
  if (opening && named && byId("scenario")) toTop();
  shown = { article, step, depth, against: !state && article.matches(".pair") ? article.dataset.against : against, everything, machine, ...known && { exercise, commands } };
  const untouched = !state && !hash.includes("=");
  if (untouched) painted ??= asShown(article);
  else if (!byId("scenario") && !panel) article.scrollIntoView();
  const view = viewOf(state || home(article), shown);
  if (!untouched && !painted) announce(article, new URLSearchParams(search));
  const painting = showView(view, answered(view), untouched || panel ? "start" : "replace");
  retry(article, shown, opening);
  return painting;
}

// Back and forward: on the page of a lesson every panel shows again what it showed then, before the address is followed.
async function goBack({ state }) {
  stop();
  rest = undefined;  // it is of the state one comes from
  const then = state?.urls ?? {};
  const panels = byId("scenario") ? [] : [...document.querySelectorAll("article")];
  for (const panel of panels.filter(({ id }) => urls[id] !== then[id])) {
    await follow(false, new URL(then[panel.id] ?? location.pathname, location.href), panel);
    if (!then[panel.id]) delete urls[panel.id];
  }
  if (!panels.length || location.search) follow();
}

// A link leads to a conversation, not past the head of the page.
function toTop() {
  history.replaceState(null, "", location.pathname + location.search);
  scrollTo(0, 0);
}

// Until the interpreter is there: the settings of the link, and that the rest is on its way.
function announce(article, values) {
  for (const [name, value] of values) if (form(article).elements[name]) form(article).elements[name].value = value;
  part(article, "compared").textContent = tr("Working out what this link shows …");
  busy(article, true);
}

function asShown(article) {
  return { name: nameOf(article), settings: settings(article), verdict: part(article, "verdict").innerHTML };
}

// What the reader does

// What was opened and typed below a conversation.
const workOf = article => ({ machine: machineOf(article), ...triedIn(article) });

function look(article, change) {
  if (shown.article === article && Object.entries(change).every(([name, value]) => shown[name] === value)) return;
  turnTo(article);
  show(change);
}

function turnTo(article) {  // of several on one page
  if (shown.article === article) return;
  select(article);
  painted = asShown(article);
  shown = { article, step: Number(part(article, "at").value), depth: part(article, "depth").value, against: article.dataset.against ?? "", everything: part(article, "everything").checked, ...workOf(article) };
}

function move(by) {
  const { article, step } = shown, last = Number(part(article, "at").max);
  const to = by ? Math.max(0, Math.min(last, step + by)) : 0;
  if (to !== step) show({ step: to }, { history: "replace" });
}

// To the step of a sign: its line of state comes into sight, and what its machine holds is opened.
async function goTo(article, place) {
  shown.place = place;
  await show({ machine: shown.machine ?? "" }, { history: "replace", stays: true });
  finish();
  showLine(article);
}

function onKey(event) {
  const by = arrow(event);
  if (!by) return;
  event.preventDefault();
  move(by);
}

async function copyLink(article) {
  finish();
  const said = part(article, "copied");
  try {
    await navigator.clipboard.writeText(location.href);
    said.textContent = shown.exercise === undefined || location.hash.includes("exercise=") ? tr("copied") : tr("copied, without the commands, which are too long for a link");
  } catch {
    said.textContent = tr("copy it from here: {address}", { address: location.href });
  }
}

// The state as one HTML file: the interpreter writes it, and the browser keeps it where it keeps what it loads.
async function save(article) {
  const said = part(article, "copied"), { step, depth, everything } = shown;
  said.textContent = tr("writing the file …");
  try {
    const { html, name } = await ask("page", JSON.stringify(viewOf(stateOf(nameOf(article), settings(article)), { step, depth, everything })));
    const url = URL.createObjectURL(new Blob([html], { type: "text/html" }));
    Object.assign(document.createElement("a"), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    said.textContent = tr("saved as {name}", { name });
  } catch (problem) {
    said.textContent = "";
    complain(problem.message);
  }
}

function listen() {
  byId("scenario")?.addEventListener("change", event => {
    const article = byId(event.target.value);
    select(article);
    show({ article, step: 0, against: "", ...workOf(article) });
  });
  for (const article of document.querySelectorAll("article")) {
    for (const kind of ["focusin", "click", "change"]) article.addEventListener(kind, () => turnTo(article), true);
    form(article).addEventListener("change", () => show({}, { stays: true }));
    form(article).addEventListener("submit", event => event.preventDefault());
    form(article).addEventListener("reset", () => setTimeout(() => { if (shown.article === article) show({}, { stays: true }); }));
    listenToAxis(article, {
      last: () => Number(part(article, "at").max), step: () => shown.step,
      show: (step, plays) => show({ step }, { history: "replace", plays }),
    });
    part(article, "at").addEventListener("input", event => show({ step: Number(event.target.value) }, { history: "replace" }));
    part(article, "depth").addEventListener("change", event => show({ depth: event.target.value }, { stays: true }));
    part(article, "everything").addEventListener("change", event => show({ everything: event.target.checked }));
    article.addEventListener("click", event => {
      const button = event.target.closest("button"), place = placeOf(event);
      if (place) goTo(article, place);
      if (button?.dataset.move) move(Number(button.dataset.move));
      if (button?.dataset.copy) copyLink(article);
      if (button?.dataset.save) save(article);
      if (button?.dataset.pin !== undefined) show({ against: button.dataset.pin && stateOf(nameOf(article), settings(article)) });
      if (button?.dataset.step) show({ step: goal(button) }, { history: "replace" });
    });
  }
  document.addEventListener("mcni-look", ({ target, detail }) => look(target.closest("article") ?? shown.article, detail));
  document.addEventListener("keydown", onKey);
  phone.addEventListener("change", () => {
    answers.clear();
    if (painted?.picture) show({}, { history: "replace" });  // until then both pictures are in the page, and the style sheet chooses
  });
  window.addEventListener("popstate", goBack);
}

if (phone.matches)
  for (const details of document.querySelectorAll(".controls details")) details.open = false;
for (const axis of document.querySelectorAll(".axis")) setMarks(axis, 0);
start();
// On a phone all but the last row of the stepper scrolls away.
const steppers = new ResizeObserver(sized => {
  for (const { target } of sized)
    target.style.setProperty("--rest", `${target.getBoundingClientRect().top - target.querySelector("[data-move]").getBoundingClientRect().top + 4}px`);
});
for (const stepper of document.querySelectorAll(".side .stepper")) steppers.observe(stepper);
listen();
follow(true);
