// Your own cluster: files are read here and handed to the interpreter of this page, and to nobody else.
import { ask } from "./engine.js";
import "./repair.js";
import { Steps } from "./steps.js";
import { tr } from "./words.js";

const MAY_BE = /(^|\.)(txt|json|gz|tgz|tar|zip)$|^[^.]+$/i;  // of a folder; whoever chooses a file has chosen it

const byId = id => document.getElementById(id);
const MOST_FILES = Number(byId("given").dataset.mostFiles), MOST_BYTES = Number(byId("given").dataset.mostBytes);
const form = byId("question");
const steps = new Steps(byId("answer"));
let given;       // what the interpreter reads: {files: [{name, at}]}, {text} or {example}
let drops = 0;   // how often something was dropped: each has names of its own
let asked = 0;   // number of the last question

function say(text) {
  byId("reading").textContent = text;
}

function wrong(problem) {
  const text = problem ? String(problem.message ?? problem) : "";
  byId("wrong").hidden = !text;
  byId("wrong").textContent = text;
}

function bar(share) {
  byId("bar").hidden = share === undefined;
  if (share) byId("bar").value = share; else byId("bar").removeAttribute("value");
}

const megabytes = bytes => bytes < 1e5 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

// What is dropped, chosen or pasted

async function take(files) {
  wrong();
  byId("answer").hidden = byId("asking").hidden = true;
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  if (!files.length) return wrong(tr("there is no file in what was dropped"));
  if (files.length > MOST_FILES) return wrong(tr("these are {count} files; a snapshot has at most {most}", { count: files.length, most: MOST_FILES }));
  if (bytes > MOST_BYTES) return wrong(tr("these are {size}; at most {most} are read here, `mcni trace` in a terminal reads more", { size: megabytes(bytes), most: megabytes(MOST_BYTES) }));
  const what = files.length === 1 ? files[0].name : tr("{count} files", { count: files.length });
  say(tr("Reading {what}, {size} …", { what, size: megabytes(bytes) }));
  bar(0);
  try {
    const number = ++drops;
    const held = await Promise.all(files.map(async ({ name, file }, i) => ({ name, at: `/given-${number}-${i}`, data: await file.arrayBuffer() })));
    await open({ files: held.map(({ name, at }) => ({ name, at })) }, held.map(({ at, data }) => ({ at, data })), bytes);
  } catch (problem) {
    bar();
    say("");
    wrong(problem);
  }
}

async function open(source, files, bytes) {
  wrong();
  bar(0);
  const before = performance.now();
  const segments = form.elements.segments.value;
  given = { ...source, ...(segments.trim() && { segments }) };
  try {
    const found = await ask("open", JSON.stringify({ given }), { files, onShare: bar });
    const seconds = ((performance.now() - before) / 1000).toFixed(1);
    const what = { name: source.example ? tr("The example") : found.name, says: found.says, size: megabytes(bytes), seconds };
    say(bytes ? tr("{name}: {says}; {size} read in {seconds} s.", what) : tr("{name}: {says}.", what));
    offer(found);
  } catch (problem) {
    say("");
    wrong(problem);
  } finally {
    bar();
  }
}

function offer({ from, to, start: question, gaps }) {
  for (const [id, choices] of [["clients", from], ["targets", to]])
    byId(id).replaceChildren(...choices.map(({ value, label }) => Object.assign(new Option(label, value), { label })));
  for (const [name, value] of Object.entries(question)) form.elements[name].value = value;
  const unknown = byId("unknown");
  unknown.hidden = !gaps.length;
  unknown.querySelector("summary").textContent = gaps.length === 1
    ? tr("What nobody knows of it: 1 thing") : tr("What nobody knows of it: {count} things", { count: gaps.length });
  unknown.querySelector("ul").replaceChildren(...gaps.map(gap => Object.assign(document.createElement("li"), { textContent: gap })));
  byId("given").classList.add("small");
  byId("asking").hidden = false;
  if (form.elements.to.value) follow();
}

async function walk(entry, files, under = "") {
  const name = under + entry.name;
  if (files.length > MOST_FILES) return;
  if (entry.isFile) {
    if (!under || MAY_BE.test(entry.name)) files.push({ name, file: await new Promise((done, failed) => entry.file(done, failed)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const inside of some) await walk(inside, files, `${name}/`);
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  const text = transfer.getData("text/plain");
  const files = entries.length ? [] : [...transfer.files].map(file => ({ name: file.name, file }));
  if (!entries.length && !files.length && text) return pasted(text);
  try {
    for (const entry of entries) await walk(entry, files);
  } catch (problem) {
    return wrong(tr("what was dropped cannot be read: {problem}", { problem: problem.message ?? problem }));
  }
  take(files);
}

function pasted(text) {
  if (!text.trim()) return wrong(tr("there is no text yet"));
  say(tr("Reading {size} of text …", { size: megabytes(text.length) }));
  open({ text }, undefined, text.length);
}

const named = input => [...input.files].map(file => ({ name: file.webkitRelativePath || file.name, file }))
  .filter(({ name }) => !name.includes("/") || MAY_BE.test(name.split("/").at(-1)));

// The question and its answer

async function follow() {
  const number = ++asked, values = Object.fromEntries(new FormData(form));
  const { netns, to, source, listen, commands, depth } = values;
  if (!netns.trim() || !to.trim()) return;
  const later = setTimeout(() => byId("answer").setAttribute("aria-busy", "true"), 250);
  try {
    const end = Number.parseInt(values.end ?? "-1", 10);
    const question = { netns, to, source, listen, commands };
    const answer = await ask("ask", JSON.stringify({ given, question, depth, end }));
    if (number !== asked) return;
    show(answer);
    const detail = { state: JSON.stringify({ given, question }) };
    byId("answer").dispatchEvent(new CustomEvent("mcni-view", { bubbles: true, detail }));
  } catch (problem) {
    if (number !== asked) return;
    byId("answer").hidden = true;
    wrong(problem);
  } finally {
    clearTimeout(later);
    if (number === asked) byId("answer").removeAttribute("aria-busy");
  }
}

function show(answer) {
  wrong();
  const article = byId("answer");
  article.hidden = false;
  for (const name of ["verdict", "compared", "reasons", "table", "share"])
    article.querySelector(`[data-part="${name}"]`).innerHTML = answer[name];
  const end = form.elements.end;
  byId("ending").hidden = !answer.ends.length;
  end.replaceChildren(...answer.ends.map((name, number) => new Option(name, number)));
  if (answer.ends.length) end.selectedIndex = answer.end;
  steps.take(answer.packed);
}

// The commands of a repair are put behind those that are typed already.
function attempt({ target }) {
  if (!target.dataset.try) return;
  const { commands } = form.elements;
  commands.value = [commands.value.trim(), target.dataset.try].filter(Boolean).join("\n");
  follow();
  byId("answer").scrollIntoView();
}

function listen() {
  for (const id of ["files", "folder"])
    byId(id).addEventListener("change", ({ target }) => { take(named(target)); target.value = ""; });
  byId("example").addEventListener("click", () => { say(tr("Reading the example …")); open({ example: true }); });
  byId("read").addEventListener("click", () => pasted(byId("text").value));
  byId("answer").addEventListener("click", attempt);
  form.addEventListener("submit", event => { event.preventDefault(); follow(); });
  form.addEventListener("change", ({ target }) => {
    if (target.name === "segments") open({ ...given, segments: "" });
    else if (target.name !== "end") form.elements.end.replaceChildren();
    if (target.name !== "segments") follow();
  });
  const over = is => byId("given").classList.toggle("over", is);
  addEventListener("dragover", event => { event.preventDefault(); over(true); });
  addEventListener("dragleave", event => { if (!event.relatedTarget) over(false); });
  addEventListener("drop", event => { event.preventDefault(); over(false); dropped(event.dataTransfer); });
  addEventListener("paste", event => {
    if (event.target.closest?.("input, textarea")) return;
    if (event.clipboardData.files.length) take([...event.clipboardData.files].map(file => ({ name: file.name, file })));
    else pasted(event.clipboardData.getData("text/plain"));
  });
}

listen();
// What reads is loaded while the reader looks at the page, by reading nothing.
ask("open", JSON.stringify({ given: { text: "mcni-snapshot 1 nothing\nend\n" } })).catch(() => {});
