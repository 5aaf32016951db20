// The time slider: it goes through the moments that the page lists, and fetches what the page of a moment shows.
"use strict";

(() => {
  const slider = document.getElementById("moment");
  const told = document.getElementById("moment-told");
  const moments = [...document.querySelectorAll("#moments a")];
  let waiting = 0;

  function tell() {
    const row = moments[slider.value].closest("li");
    told.textContent = row.innerText;
    slider.setAttribute("aria-valuetext", row.innerText);
    for (const one of moments) one.removeAttribute("aria-current");
    moments[slider.value].setAttribute("aria-current", "true");
    const list = document.getElementById("moments");
    list.scrollTop = row.offsetTop - list.offsetTop - list.clientHeight / 2;
  }

  function show() {
    const { href } = moments[slider.value];
    history.replaceState(null, "", href);
    htmx.ajax("GET", href, { source: slider, target: "#then", select: "#then", swap: "outerHTML" });
  }

  document.getElementById("slider").hidden = moments.length < 2;
  slider.addEventListener("input", () => {
    tell();
    clearTimeout(waiting);
    waiting = setTimeout(show, 120);
  });
  tell();
})();
