// The link of a panel: which server this page comes from, the state it was opened with, and a button that copies.

/** Return the address of the folder this notebook is in, as others may open it; "" where that is not known or not lasting. */
function folder() {
  const { origin, hostname, pathname } = window.location;
  const parts = pathname.match(/^(.*?)\/(lab(?:\/workspaces\/[^/]+)?\/tree|notebooks)((?:\/[^/]+)*)\/[^/]+\.ipynb$/);
  if (!parts || hostname.endsWith("mybinder.org")) return "";
  const [, server, view, path] = parts;
  const shared = server.replace(/\/user\/[^/]+$/, "/hub/user-redirect"); // JupyterHub: everybody's own server
  return `${origin}${shared}/${view.startsWith("lab") ? "lab/tree" : view}${path}`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // a page that came by plain http from another machine
    const field = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text }));
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

export default {
  render({ model, el }) {
    const opened = performance.getEntriesByType("navigation")[0]?.name ?? "";
    if (opened.includes("mcni=") && !model.get("value")) model.set("value", opened.slice(opened.indexOf("?")));
    if (folder()) model.set("base", folder());
    model.save_changes();
    const button = Object.assign(document.createElement("button"), {
      type: "button", className: "jupyter-button widget-button mcni-copy", textContent: model.get("label"),
    });
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    button.onclick = async () => {
      await copy(model.get("link"));
      button.focus();
      said.textContent = ` ${model.get("said")}`;
      setTimeout(() => { said.textContent = ""; }, 3000);
    };
    el.append(button, said);
  },
};
