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
    for (const field of form.elements) field.removeAttribute("aria-disabled");
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

// What is wider than its place scrolls: by keys too, and where it is cut it fades.
const WIDE = ".scroll, .summary blockquote, .top nav";
function scrolling() {
  for (const box of document.querySelectorAll(WIDE)) {
    const wide = box.scrollWidth > box.clientWidth + 1;
    if (wide || box.scrollHeight > box.clientHeight + 1) reachable(box);
    box.classList.toggle("cut", wide && box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  }
}
function reachable(box) {
  if (box.hasAttribute("tabindex") || box.matches("nav")) return; // the links of a menu can be reached as they are
  box.tabIndex = 0;
  const named = box.querySelector("caption") || box.closest("section")?.querySelector("h2, h3") || document.querySelector("h1");
  if (!box.matches(".scroll") || !named) return;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", named.textContent.trim());
}
for (const name of ["DOMContentLoaded", "htmx:afterSettle", "toggle"]) document.addEventListener(name, scrolling, true);
document.addEventListener("scroll", (event) => { if (event.target.matches?.(WIDE)) scrolling(); }, true);
window.addEventListener("resize", scrolling);

// The page that one is on is seen in a menu that scrolls.
document.addEventListener("DOMContentLoaded", () => {
  const menu = document.querySelector(".top nav"), here = menu?.querySelector("[aria-current]");
  if (here) menu.scrollLeft = here.offsetLeft - menu.offsetLeft - (menu.clientWidth - here.offsetWidth) / 2;
});

// Keys: "/" to search, j and k through the rows of a list, Enter opens the row's link, "?" tells of them all.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && event.target.dataset?.key === "/" && !event.target.value) event.preventDefault(); // it is there already
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "/") { document.querySelector('[data-key="/"]')?.focus(); event.preventDefault(); }
  if (event.key === "?") document.getElementById("keys")?.showModal();
  if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
});

function step(by) {
  const links = [...document.querySelectorAll("tbody tr th a, tbody tr td:first-child a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + by))].focus();
}

// That something was done is said once, not again whenever the page is loaded.
const here = new URL(location.href);
if (here.searchParams.has("done")) {
  here.searchParams.delete("done");
  history.replaceState(history.state, "", here);
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
