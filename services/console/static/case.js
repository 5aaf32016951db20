// The form of a case that is open: what is typed is not lost by the way, and that others changed something is said at it.
"use strict";

(() => {
  const open = () => document.querySelector("#form form");

  document.addEventListener("input", (event) => {
    const form = event.target.closest("#form form");
    if (form) form.dataset.typed = "yes";
  });

  // Another form takes the place of one that somebody typed into only if they say so.
  document.addEventListener("htmx:confirm", (event) => {
    const form = open();
    if (event.detail.target?.id !== "form" || event.detail.elt === form || !form?.dataset.typed) return;
    if (!window.confirm(form.dataset.question)) event.preventDefault();
  });

  // A refused form is answered with the form again: it is shown, whatever the status. Any other answer is a page.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "form") return;
    const ours = event.detail.serverResponse.includes('id="form-title"');
    event.detail.shouldSwap = ours;
    event.detail.isError = false;
    if (!ours && event.detail.xhr.status >= 400) open()?.submit();
  });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-close]")) return;
    event.preventDefault();
    document.getElementById("form").replaceChildren();
  });

  // Whoever opens a form is taken to its first field that is empty.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target?.id === "form") lead(event.detail.target);
  });
  function lead(place) {
    const wrong = place.querySelector("[aria-invalid] input, [aria-invalid]");
    const fields = [...place.querySelectorAll("form :is(input:not([type=hidden]), select, textarea:not([name=note]))")];
    const first = fields.find((one) => !one.value) || fields[0];
    (wrong || place.querySelector("[role=alert]") && place || first || place).focus();
  }
  // After the browser has gone to the form by the address, which takes the focus along.
  window.addEventListener("load", () => requestAnimationFrame(() => { if (open()?.dataset.typed) lead(document.getElementById("form")); }));

  // Somebody did something after the form was made.
  document.addEventListener("htmx:oobAfterSwap", () => {
    const form = open();
    if (!form) return;
    const made = Number(form.elements.version.value);
    const later = [...document.querySelectorAll("#timeline [data-changes]")].some((one) => Number(one.dataset.version) > made);
    if (later) document.querySelector("#form [data-changed]").hidden = false;
  });
})();
