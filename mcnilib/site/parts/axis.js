// The time axis: marks that can be chosen, and playing, a step after the other, between two moments as long as they are
// apart. Who asked for less motion gets a button that goes one packet further, and nothing moves by itself.

import { tr } from "./words.js";

const DWELL = 900;  // milliseconds a step is shown, at speed 1
const still = matchMedia("(prefers-reduced-motion: reduce)");
const part = (article, name) => article.querySelector(`[data-part="${name}"]`);
const marksOf = axis => [...axis.querySelectorAll("button[data-step]")];
// Where a mark leads: to the first step of its packet, of a lost one to the loss.
export const goal = mark => Number(mark.classList.contains("lost") ? mark.dataset.last : mark.dataset.step);
const isAt = (mark, step) => step >= Number(mark.dataset.step) && step <= Number(mark.dataset.last);
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

let playing;  // {article} while a conversation is played

export function setMarks(axis, step) {
  const marks = marksOf(axis), current = marks.find(mark => isAt(mark, step));
  for (const mark of marks) {
    if (mark === current) mark.setAttribute("aria-current", "step");
    else mark.removeAttribute("aria-current");
    mark.tabIndex = mark === (current ?? marks[0]) ? 0 : -1;
  }
  if (current) bringIntoView(axis, current);
}

function bringIntoView(axis, mark) {
  const outer = axis.getBoundingClientRect(), inner = mark.getBoundingClientRect();
  axis.scrollLeft += Math.min(0, inner.left - outer.left - 30) + Math.max(0, inner.right - outer.right + 30);
}

// `walk` is what the page lends: last() and step() are numbers of steps, show(step, plays) promises that it is painted.
export function listenToAxis(article, walk) {
  const axis = part(article, "times"), button = part(article, "play");
  axis.addEventListener("keydown", event => onKey(event, axis, walk));
  button.addEventListener("click", () => still.matches ? nextPacket(axis, walk) : playing ? stop() : play(article, walk));
  label(button);
  still.addEventListener("change", () => { stop(); label(button); });
}

function label(button) {
  button.textContent = still.matches ? tr("packet ▶") : playing ? tr("pause") : tr("▶ play");
  button.classList.toggle("playing", Boolean(playing));
}

async function onKey(event, axis, walk) {
  const marks = marksOf(axis), at = marks.indexOf(event.target);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: marks.length - 1 }[event.key];
  if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (!marks[to]) return;
  marks[to].focus();
  walk.show(goal(marks[to]));
}

function nextPacket(axis, walk) {
  const marks = marksOf(axis), next = marks.find(mark => Number(mark.dataset.step) > walk.step()) ?? marks[0];
  walk.show(Number(next.dataset.step));
}

async function play(article, walk) {
  const run = playing = { article };
  label(part(article, "play"));
  part(article, "where").setAttribute("aria-live", "off");  // a step a second is too much to be read out
  for (let step = walk.step() % walk.last(); playing === run && step < walk.last();) {
    await walk.show(++step, true);
    if (playing === run && step < walk.last()) await rest(article, step);
  }
  if (playing === run) stop();
}

async function rest(article, step) {
  const speed = Number(part(article, "speed").value), axis = part(article, "times");
  await pause(DWELL / speed);
  const mark = marksOf(axis).find(one => isAt(one, step)), next = marksOf(axis).find(one => isAt(one, step + 1));
  const moment = mark?.closest("li");
  if (!playing || !next || moment === next.closest("li")) return;
  const wait = 1000 * (Number(next.closest("li").dataset.at) - Number(moment.dataset.at)) / speed;
  moment.style.setProperty("--wait", `${wait}ms`);
  moment.classList.add("waiting");
  await pause(wait);
  moment.classList.remove("waiting");
}

export function stop() {
  if (!playing) return;
  const { article } = playing;
  playing = undefined;
  label(part(article, "play"));
  part(article, "where").setAttribute("aria-live", "polite");
  for (const moment of article.querySelectorAll(".waiting")) moment.classList.remove("waiting");
}

document.addEventListener("keydown", event => { if (event.key === "Escape") stop(); });
document.addEventListener("visibilitychange", stop);
