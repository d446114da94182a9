// Run by node when the site is written: `node compile.mjs FOLDER_OF_PYODIDE ARCHIVE...` puts bytecode in the place of
// the sources in archives of Python files. Pyodide itself makes it, so that it is of the very Python that reads it.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, ...archives] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const python = await loadPyodide({ indexURL: `${folder}/` });
python.runPython(`
import io, marshal, zipfile
from importlib.util import MAGIC_NUMBER

Code = type(compile("", "", "exec"))
UNCHECKED = (1).to_bytes(4, "little") + bytes(8)  # it is read whatever its source has become

def without_lines(code):
    """Nobody is shown where in the sources, which are not there, something went wrong."""
    constants = (without_lines(one) if isinstance(one, Code) else one for one in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=tuple(constants))

def compiled(name, data):
    if not name.endswith(".py"):
        return name, data
    code = compile(data, name, "exec", dont_inherit=True, optimize=2)
    return f"{name}c", MAGIC_NUMBER + UNCHECKED + marshal.dumps(without_lines(code))

def archive(path):
    written = io.BytesIO()
    with zipfile.ZipFile(path) as sources, zipfile.ZipFile(written, "w") as target:
        for info in sources.infolist():
            if not info.is_dir():
                name, data = compiled(info.filename, sources.read(info))
                target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return written.getvalue()
`);
const archive = python.globals.get("archive");
for (const path of archives) {
  python.FS.writeFile("/archive.zip", readFileSync(path));
  writeFileSync(path, archive("/archive.zip").toJs());
}
