// A page that follows changes: the element with `data-live` is told of them and fetches what changed of the page.
// Only a page that is looked at holds a connection, since a browser has few of them.
"use strict";

(() => {
  const place = document.querySelector("[data-live]");
  if (!place) return;
  let source = null;
  let retry = 0;
  let delay = 1000;

  const tell = (name) => place.dispatchEvent(new CustomEvent(name, { bubbles: true }));

  function follow() {
    clearTimeout(retry);
    if (source || document.hidden) return;
    source = new EventSource(`${place.dataset.live}?after=${place.dataset.version}`);
    source.addEventListener("open", () => { delay = 1000; tell("htmx:sseOpen"); });
    source.addEventListener("changed", (event) => {
      place.dataset.version = event.data;
      htmx.trigger(place, "changed");
    });
    source.addEventListener("expired", () => {
      rest();
      document.getElementById("expired").hidden = false;
    });
    source.addEventListener("error", () => {
      rest();
      tell("htmx:sseError");
      retry = setTimeout(follow, delay);
      delay = Math.min(2 * delay, 30000);
    });
  }

  function rest() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => { if (document.hidden) rest(); else follow(); });
  window.addEventListener("online", follow);
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", follow);

  // What somebody had opened stays open, and is not taken away under their hands.
  const opened = new Set();
  document.addEventListener("toggle", (event) => {
    if (!event.target.id || event.target.tagName !== "DETAILS") return;
    if (event.target.open) opened.add(event.target.id); else opened.delete(event.target.id);
  }, true);
  document.addEventListener("htmx:oobAfterSwap", () => {
    for (const id of opened) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
  });
})();
