// What somebody opened stays open when the part of the page that it is in is fetched again.
"use strict";

(() => {
  const opened = new Set();
  document.addEventListener("toggle", ({ target }) => {
    if (target.id) opened[target.open ? "add" : "delete"](target.id);
  }, true);
  document.addEventListener("htmx:load", () => {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  });
})();
