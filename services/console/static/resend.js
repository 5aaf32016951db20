// A form whose session had ended is sent by one press, once somebody signed in again in another tab: the mark of the new
// session is fetched when they come back.
"use strict";

window.addEventListener("focus", async () => {
  const page = await (await fetch("/console/signed-out")).text();
  const mark = new DOMParser().parseFromString(page, "text/html").querySelector('meta[name="csrf"]').content;
  if (!mark) return;
  document.querySelector('#again [name="csrf"]').value = mark;
  document.getElementById("sign-in")?.remove();
});
