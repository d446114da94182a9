// Reports solved exercises to the learning platform that shows this page. Pages of the site tell of them by a message.
// Source: SCORM 1.2 Run-Time Environment, 3.3 (how the API is found) and 3.4 (data model).
import { tr } from "./words.js";

const tasks = new Set(document.body.dataset.tasks.split(" "));
const began = Date.now(), score = document.getElementById("score"), frame = document.querySelector("iframe");
const DEPTH = 500;  // windows above this one that are looked at
const api = found(window.parent) ?? found(window.opener);
const open = api?.LMSInitialize("") === "true";
const solved = new Set(open ? read("cmi.suspend_data").split(" ").filter(task => tasks.has(task)) : []);

function found(above) {
  try {
    for (let depth = 0; above && depth < DEPTH; depth++) {
      if (above.API) return above.API;
      if (above.parent === above) return found(above.opener);
      above = above.parent;
    }
  } catch { }  // a window of another site cannot be looked into
  return undefined;
}

function read(name) {
  return api.LMSGetValue(name) ?? "";
}

// Writes values in turn, and says whether the platform took all of them.
function write(values) {
  return Object.entries(values).map(([name, value]) => api.LMSSetValue(name, String(value))).every(taken => taken === "true");
}

const complete = () => solved.size === tasks.size;

function report() {
  if (!open) return;
  const taken = write({
    "cmi.core.score.min": 0, "cmi.core.score.max": 100, "cmi.core.score.raw": Math.round(100 * solved.size / tasks.size),
    "cmi.suspend_data": [...solved].join(" "), "cmi.core.lesson_status": complete() ? "completed" : "incomplete",
  });
  if (taken && api.LMSCommit("") === "true") return;
  say(tr("The learning platform did not take the result (error {error}).", { error: api.LMSGetLastError() }));
}

function say(...more) {
  const done = tr("Exercises done: {done} of {all}.", { done: solved.size, all: tasks.size });
  const platform = open ? [] : [tr("No learning platform was found: nothing is reported.")];
  score.textContent = [done, ...platform, ...more].join(" ");
}

function duration() {
  const seconds = Math.round((Date.now() - began) / 1000), two = number => String(number).padStart(2, "0");
  return `${String(Math.floor(seconds / 3600)).padStart(4, "0")}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

let finished = !open;

function finish() {
  if (finished) return;
  finished = true;
  write({ "cmi.core.session_time": duration(), "cmi.core.exit": complete() ? "" : "suspend" });
  api.LMSCommit("");
  api.LMSFinish("");
}

addEventListener("message", ({ data, source }) => {
  const task = data?.mcniSolved;
  if (source !== frame.contentWindow || !tasks.has(task) || solved.has(task)) return;
  solved.add(task);
  say();
  report();
});
document.querySelector("button").addEventListener("click", () => {
  frame.contentDocument?.querySelector("article.chosen .exercise textarea")?.focus();
});
addEventListener("pagehide", finish);
addEventListener("beforeunload", finish);
say();
report();
