// Answers prepared while the site was written (mcnilib/site/prepared.py): those of states a few changes from the start.
// A conversation's file is fetched once; what it does not have, the interpreter answers.
import { joined } from "./steps.js";

const files = new Map();  // name of a conversation -> what its file holds; nothing where there is none
const fetched = new Map();  // name -> the promise of it

export function fetchPrepared(name) {
  if (!fetched.has(name)) fetched.set(name, load(name).then(file => { files.set(name, file); }, () => {}));
  return fetched.get(name);
}

async function load(name) {
  const response = await fetch(new URL(`prepared/${name}.json.bin`, import.meta.url));
  if (!response.ok) return undefined;
  const file = await new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).json();
  const states = new Map();
  for (let i = 0; i < file.states.length; i += 2) states.set(file.states[i], file.answers[file.states[i + 1]]);
  return { ...file, states };
}

// The answer for a view of the whole conversation, as it is drawn at first in a wide window. What a link says that does
// not exist has none.
export function prepared(name, values, { step, depth, against, everything, narrow }) {
  const file = files.get(name);
  if (!file || step || depth !== "hops" || against || everything || narrow) return undefined;
  const known = Object.fromEntries(file.options), chosen = { ...file.start, ...values };
  const exists = ([option, text]) => option === "lang" || known[option]?.includes(text);  // a page has its language
  if (!Object.entries(values).every(exists)) return undefined;
  const row = file.states.get(file.options.reduce((number, [option, texts]) => number * texts.length + texts.indexOf(chosen[option]), 0));
  return row && {
    settings: Object.fromEntries(file.options.map(([option]) => [option, chosen[option]])),
    ...Object.fromEntries(Object.entries(file.said).map(([part, said]) => [part, words(said, file, chosen)])),
    ...Object.fromEntries(file.texts_of.map((part, at) => [part, joined(file.pieces, file.texts[row[at]])])),
    ...Object.fromEntries(file.values_of.map((part, at) => [part, file.values[row[file.texts_of.length + at]]])),
  };
}

function words([head, said], { options }, chosen) {
  const texts = Object.fromEntries(options);
  return head + said.map(([option, each]) => each[texts[option].indexOf(chosen[option])]).join("");
}
