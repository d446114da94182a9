// The sentences of the scripts in the reader's language. Their English is the key of the table that the page holds
// (mcnilib/site/frame.py); a page in English needs none. `{names}` in a sentence are replaced by the values.

const table = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

export const tr = (text, values = {}) => (table[text] ?? text).replace(/\{(\w+)\}/g, (name, key) => values[key] ?? name);
