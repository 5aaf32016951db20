// What pages do beyond links and forms. Everything works without it, only less comfortably.
"use strict";

// A form is sent once: its button rests until the answer is there. (Sent twice all the same, it still counts once.)
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
  const button = event.submitter || form.querySelector("button");
  if (button) { button.setAttribute("aria-disabled", "true"); button.title = document.body.dataset.sending; }
});

// Whoever comes back to a page with the back button finds its forms usable.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

// htmx sends the mark of the session as a header.
document.addEventListener("htmx:configRequest", (event) => {
  const mark = document.querySelector('meta[name="csrf"]');
  if (mark) event.detail.headers["X-CSRF-Token"] = mark.content;
});

// A lost connection is told, and that it is back.
const connection = () => document.getElementById("connection");
const lost = () => { connection().hidden = false; };
const found = () => { connection().hidden = true; };
window.addEventListener("offline", lost);
window.addEventListener("online", found);
for (const name of ["htmx:sendError", "htmx:timeout", "htmx:sseError"]) document.addEventListener(name, lost);
for (const name of ["htmx:afterOnLoad", "htmx:sseOpen"]) document.addEventListener(name, found);

// Keys: "/" to search, j and k through the rows of a list, Enter opens the row's link.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "/") { document.querySelector('[data-key="/"]')?.focus(); event.preventDefault(); }
  if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
});

function step(by) {
  const links = [...document.querySelectorAll("tbody tr th a, tbody tr td:first-child a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + by))].focus();
}

// Copy on click.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = button.textContent;
  button.textContent = document.body.dataset.copied;
  setTimeout(() => { button.textContent = before; }, 1200);
});
