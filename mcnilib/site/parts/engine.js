// The interpreter as a page sees it: it starts in a worker, says how far it is, and answers questions.
// `ask(verb, text)` promises the answer, read from JSON; the verbs are those of mcnilib/show/verbs.py.

import { tr } from "./words.js";

const byId = id => document.getElementById(id);
const waiting = new Map();  // number of a question -> what waits for its answer
let number = 0;
let worker, failure;

export function complain(text) {
  const at = byId("problem"), said = text || failure || "";
  at.hidden = !said;
  at.textContent = said;
}

export function start() {
  if (worker || failure) return;
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onerror = event => failed(event.message || tr("the script of the interpreter did not load"));
  worker.onmessage = ({ data }) => {
    if (data.failed) failed(tr(data.failed, data));
    else if (data.ready) { say(""); document.documentElement.dataset.ready = ""; }
    else if (data.loading !== undefined) say(data.loading < 1 ? tr("Loading the interpreter: {percent} %", { percent: Math.round(100 * data.loading) }) : tr("Starting the interpreter …"));
    else arrived(data);
  };
  worker.postMessage({ total: Number(document.body.dataset.size), language: document.documentElement.lang });
}

// `files` are handed over before, [{at, data}]; `onShare` hears of long work how far it is, from 0 to 1.
export function ask(verb, text, { files, onShare } = {}) {
  start();
  if (failure) return Promise.reject(new Error(failure));
  return new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject, onShare });
    worker.postMessage({ id: number, verb, text, files }, files?.map(file => file.data) ?? []);
  });
}

function arrived({ id, answer, share }) {
  const { resolve, reject, onShare } = waiting.get(id);
  if (share !== undefined) return onShare?.(share);
  const said = JSON.parse(answer);
  waiting.delete(id);
  if (said.error) reject(new Error(said.error));
  else resolve(said);
}

function failed(why) {
  worker = undefined;
  failure = tr("The interpreter did not start: {why}. The page shows what needs none; reload it to try again.", { why });
  say("");
  complain(failure);
  for (const { reject } of waiting.values()) reject(new Error(failure));
  waiting.clear();
}

function say(text) {
  byId("engine").textContent = text;
}
