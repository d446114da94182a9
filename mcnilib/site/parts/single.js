
// One state in one file: the step stands behind `#` of the address, where there is one to write to.
document.documentElement.classList.add("js");
const stepIn = hash => Number.parseInt(new URLSearchParams(hash.slice(1)).get("step"), 10) || 0;
const steps = new Steps(document.querySelector(".walk"), {
  onStep(step) {
    try {
      history.replaceState(null, "", step ? `#step=${step}` : "#");
    } catch { /* a frame without an address of its own */ }
  },
});
const packed = JSON.parse(document.getElementById("steps").textContent);
steps.take(packed, location.hash ? stepIn(location.hash) : packed.at);
addEventListener("hashchange", () => steps.show(stepIn(location.hash)));
document.documentElement.dataset.ready = "";
