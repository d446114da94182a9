// Exercises: typed commands are carried out by the model, which says what they did and whether that is what was asked.
import { ask, complain } from "./engine.js";

const PATIENCE = 250;  // milliseconds before the page says that it works on an answer

const phone = matchMedia("(max-width: 700px)");
const which = form => ({ scenario: Number(form.dataset.scenario), number: Number(form.dataset.number) });
const said = form => form.querySelector(".said");

async function run(form) {
  const late = setTimeout(() => { said(form).textContent = "Working on it …"; }, PATIENCE);
  const answer = form.querySelector("textarea").value;
  try {
    show(form, await ask("attempt", JSON.stringify({ ...which(form), answer, narrow: phone.matches })));
  } catch (problem) {
    said(form).textContent = "";
    complain(problem.message);
  }
  clearTimeout(late);
}

function show(form, { done, says, picture, state }) {
  form.classList.toggle("done", done);
  said(form).innerHTML = says;
  const frame = picture && `<div class="picture" tabindex="0" role="group" aria-label="picture">${picture}</div>`;
  form.querySelector(".shown").innerHTML = frame + state;
}

async function help(form, button) {
  const number = Number(button.dataset.help);
  const { help: text, more } = await ask("help", JSON.stringify({ ...which(form), help: number }));
  const line = form.querySelector(".more").appendChild(document.createElement("p"));
  line.innerHTML = text;
  button.dataset.help = number + 1;
  button.textContent = "Show a solution";
  if (more) return;
  button.remove();
  form.querySelector("textarea").focus();
}

for (const form of document.querySelectorAll(".exercise")) {
  form.addEventListener("submit", event => { event.preventDefault(); run(form); });
  form.addEventListener("keydown", event => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(form); });
  const button = form.querySelector("[data-help]");
  button?.addEventListener("click", () => help(form, button).catch(problem => complain(problem.message)));
}
