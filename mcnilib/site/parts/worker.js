// The interpreter, off the page's thread: it answers views, and answers ahead what a click may bring while nobody asks.

const ENGINE = new URL("engine/", import.meta.url).href;
const plainFetch = self.fetch;
const LIBRARY = "/library.zip";
const START = `
import gc, sys
sys.path.insert(0, "${LIBRARY}")
gc.disable()
from mcnilib.show.explorer import answer_json, likely_json
gc.enable()
gc.freeze()
`;

let answer, likely, total, received = 0;
let waiting = [];
let ahead = [];
let lot = 0;

async function load(name, packed) {
  const response = await plainFetch(ENGINE + name);
  if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
  const counted = response.body.pipeThrough(new TransformStream({
    transform(chunk, on) {
      received += chunk.length;
      postMessage({ loading: Math.min(1, received / total) });
      on.enqueue(chunk);
    },
  }));
  return packed ? counted.pipeThrough(new DecompressionStream("gzip")) : counted;
}

const text = async stream => new Response(await stream).text();
const bytes = async stream => new Uint8Array(await new Response(await stream).arrayBuffer());

async function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old: it cannot unpack gzip");
  const { loadPyodide } = await import(`${ENGINE}pyodide.js`);
  const [script, lock, library, wasm, stdlib] = await Promise.all([
    text(load("pyodide.asm.js.bin", true)), text(load("pyodide-lock.json")), bytes(load("library.zip")),
    bytes(load("pyodide.asm.wasm.bin", true)), bytes(load("python_stdlib.zip")),
  ]);
  postMessage({ loading: 1 });
  const here = {  // what Pyodide would fetch: it is here already, unpacked
    "pyodide.asm.wasm": new Response(wasm, { headers: { "Content-Type": "application/wasm" } }),
    "python_stdlib.zip": new Response(stdlib),
  };
  self.fetch = async what => here[String(what.url ?? what).slice(ENGINE.length)] ?? plainFetch(what);
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: createPyodideModule } = await import(address);
  const python = await loadPyodide({
    indexURL: ENGINE, packageBaseUrl: ENGINE, lockFileContents: JSON.parse(lock), createPyodideModule,
  });
  python.FS.writeFile(LIBRARY, library);
  python.runPython(START);
  answer = python.globals.get("answer_json");
  likely = python.globals.get("likely_json");
  postMessage({ ready: true });
  waiting.splice(0).forEach(reply);
}

function reply({ id, view }) {
  postMessage({ id, answer: answer(view) });
  ahead = [];
  const mine = ++lot;
  setTimeout(() => {
    if (mine !== lot) return;
    ahead = JSON.parse(likely(view));
    next(mine);
  }, 150);
}

const answered = new Set();

function next(mine) {
  if (mine !== lot || !ahead.length) return;
  const view = ahead.shift();
  if (!answered.has(view)) {
    answered.add(view);
    postMessage({ ahead: answer(view) });
  }
  setTimeout(next, 0, mine);
}

onmessage = ({ data }) => {
  if (data.total) {
    total = data.total;
    start().catch(problem => postMessage({ failed: String(problem.message ?? problem) }));
  } else if (answer) reply(data);
  else waiting = [data];
};
