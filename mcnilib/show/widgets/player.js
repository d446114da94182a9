// A conversation that plays once: a step after the other, up to the one that decides, then the whole again. Who asked for
// less motion gets the still picture, and steps only when a button is pressed.

const DWELL = 1700; // milliseconds a step is shown
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Make a player of what `Walkthrough.player_html` wrote; `packed` is what `Walkthrough.packed` packs. */
export function mount(root, { pieces, steps }) {
  const controls = root.querySelector(".stepper"), slider = controls.querySelector("input");
  const picture = root.querySelector(".picture"), said = root.querySelector("output"), verdict = said.innerHTML;
  const button = (move) => controls.querySelector(`[data-move="${move}"]`);
  const last = steps.length - 1, plays = button("play").textContent;
  let at = 0, clock = 0, asked = false; // whether the reader took over, or all was played

  function show(step) {
    at = Math.max(0, Math.min(last, step));
    const ranges = steps[at].picture;
    let html = "";
    for (let i = 0; i < ranges.length; i += 2) html += pieces.slice(ranges[i], ranges[i + 1]).join("");
    picture.innerHTML = html;
    if (at) said.textContent = root.dataset.step.replace(/{(\w+)}/g, (_, name) => ({ at, last, says: steps[at].says })[name]); else said.innerHTML = verdict;
    slider.value = at;
    slider.setAttribute("aria-valuetext", said.textContent);
    button("-1").disabled = button("0").disabled = !at;
    button("1").disabled = at === last;
  }

  function stop() {
    clearInterval(clock);
    clock = 0;
    button("play").textContent = plays;
    said.setAttribute("aria-live", "polite");
  }

  function play() {
    said.setAttribute("aria-live", "off"); // a step every two seconds is too much to be read out
    button("play").textContent = root.dataset.pause;
    if (at === last) show(0);
    show(at + 1);
    clock = setInterval(() => {
      if (!root.isConnected) return stop();
      if (at === last) { stop(); asked = true; } // it ends where it was decided
      show(at === last ? 0 : at + 1);
    }, DWELL);
  }

  controls.addEventListener("click", (event) => {
    const move = event.target.closest("button")?.dataset.move;
    if (!move) return;
    const playing = clock;
    stop();
    asked = true;
    if (move === "play") playing || play(); else show(Number(move) && at + Number(move));
  });
  slider.addEventListener("input", () => { stop(); asked = true; show(Number(slider.value)); });
  still.addEventListener("change", () => still.matches && stop());
  controls.hidden = false;
  show(0);
  new IntersectionObserver(([seen]) => {
    const first = document.querySelector(".mcni-player") === root; // one thing that moves is enough
    if (!seen.isIntersecting) stop(); // JupyterLab scrolls away from it when all cells run
    else if (first && !asked && !clock && !still.matches) play();
  }, { threshold: 0.5 }).observe(picture);
}

for (const root of document.querySelectorAll(".mcni-player:has(> script)"))
  mount(root, JSON.parse(root.querySelector("script").textContent));

export default {
  render({ model, el }) {
    el.innerHTML = model.get("html");
    mount(el.querySelector(".mcni-player"), model.get("packed"));
  },
};
