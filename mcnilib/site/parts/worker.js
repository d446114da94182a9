// The interpreter, off the page's thread. It is told `{id, verb, text}`, and answers `{id, answer}`, one after the other.

const ENGINE = new URL("engine/", import.meta.url).href;
const mark = text => text;  // a sentence that the page says in its language
const plainFetch = self.fetch;
const LIBRARY = "/library.zip";
const START = `
import gc, sys
sys.path.insert(0, "${LIBRARY}")
gc.disable()
from mcnilib.language import speak
from mcnilib.show.verbs import answer
`;
const STARTED = `
gc.enable()
gc.freeze()
`;  // after the first answer: until then modules are loaded, and nothing of them is garbage

let python, answer, total, language, received = 0;
const waiting = [];

async function load(name, packed) {
  const response = await plainFetch(ENGINE + name);
  if (!response.ok) throw Object.assign(new Error(mark("{name}: the server answers {status}")), { values: { name, status: response.status } });
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
  if (typeof DecompressionStream === "undefined") throw new Error(mark("this browser is too old: it cannot unpack gzip"));
  const { loadPyodide } = await import(`${ENGINE}pyodide.js`);
  const [script, lock, library, wasm, stdlib] = await Promise.all([
    text(load("pyodide.asm.js.bin", true)), text(load("pyodide-lock.json")), bytes(load("library.zip.bin", true)),
    bytes(load("pyodide.asm.wasm.bin", true)), bytes(load("python_stdlib.zip.bin", true)),
  ]);
  postMessage({ loading: 1 });
  const here = {  // what Pyodide would fetch: it is here already, unpacked
    "pyodide.asm.wasm": new Response(wasm, { headers: { "Content-Type": "application/wasm" } }),
    "python_stdlib.zip": new Response(stdlib),
  };
  self.fetch = async what => here[String(what.url ?? what).slice(ENGINE.length)] ?? plainFetch(what);
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: createPyodideModule } = await import(address);
  python = await loadPyodide({
    indexURL: ENGINE, packageBaseUrl: ENGINE, lockFileContents: JSON.parse(lock), createPyodideModule,
  });
  python.FS.writeFile(LIBRARY, library);
  python.runPython(START);
  if (language !== "en") python.globals.get("speak")(language);
  answer = python.globals.get("answer");
  waiting.splice(0).forEach(reply);
  postMessage({ ready: true });
}

// Files a question is about, [{at, data}]: they lie in the interpreter's memory until others come.
function keep(files) {
  for (const name of kept.splice(0)) python.FS.unlink(name);
  for (const { at, data } of files) {
    python.FS.writeFile(at, new Uint8Array(data));
    kept.push(at);
  }
}

const kept = [];
let first = true;

function reply({ id, verb, text, files }) {
  if (files) keep(files);
  postMessage({ id, answer: answer(verb, text, share => postMessage({ id, share })) });
  if (first) python.runPython(STARTED);
  first = false;
}

onmessage = ({ data }) => {
  if (data.total !== undefined) {
    ({ total, language } = data);
    start().catch(problem => postMessage({ failed: String(problem.message ?? problem), ...problem.values }));
  } else if (answer) reply(data);
  else waiting.push(data);
};
