// Questions: the reader chooses an answer and hears what is said to it, which is folded in the page.
// Nothing is asked of the interpreter.

import { tr } from "./words.js";

const make = (tag, properties = {}, ...content) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...content);
  return made;
};

function enliven(quiz, number) {
  const [question, answers, key] = quiz.children, said = [...key.querySelectorAll("dd")];
  const choices = [...answers.children].map((answer, at) => make("label", {},
    make("input", { type: "radio", name: `quiz-${number}`, value: at }), make("span", { innerHTML: answer.innerHTML })));
  const remark = make("div", { className: "remark" });
  remark.setAttribute("role", "status");
  const form = make("form", { autocomplete: "off" },
    make("fieldset", {}, make("legend", {}, ...question.childNodes), ...choices), make("button", { textContent: tr("Check") }), remark);
  form.addEventListener("change", () => { remark.replaceChildren(); });
  form.addEventListener("submit", event => {
    event.preventDefault();
    const chosen = new FormData(form).get(`quiz-${number}`);
    remark.innerHTML = chosen === null ? tr("Choose an answer first.") : said[chosen].innerHTML;
    key.hidden &&= chosen === null;
  });
  key.hidden = true;
  quiz.replaceChildren(form, key);
}

document.querySelectorAll(".mcni-quiz").forEach(enliven);
