// Rows that are ticked: space ticks the row that has the focus (j and k walk), "a" ticks all or none, and the button
// says how many and how much.
"use strict";

const ticks = () => [...document.querySelectorAll("input[name=choice]:not([disabled])")];
const all = () => document.getElementById("all"); // only where there is anything to tick

function tell() {
  const chosen = ticks().filter((one) => one.checked);
  const fen = chosen.reduce((sum, one) => sum + Number(one.dataset.fen), 0);
  const told = document.getElementById("chosen");
  told.textContent = chosen.length ? `${chosen.length} · ${(fen / 100).toLocaleString("en", { minimumFractionDigits: 2 })}` : "";
  all().checked = chosen.length > 0 && chosen.length === ticks().length;
  for (const one of ticks()) one.closest("tr").setAttribute("aria-selected", String(one.checked));
}

function tickAll(on) {
  for (const one of ticks()) one.checked = on;
  tell();
}

document.addEventListener("change", (event) => {
  if (event.target === all()) tickAll(event.target.checked);
  else if (event.target.name === "choice") tell();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !all()) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, button")) return;
  if (event.key === "a") { tickAll(ticks().some((one) => !one.checked)); event.preventDefault(); }
  if (event.key === " " && event.target.type !== "checkbox") {
    const one = event.target.closest("tr")?.querySelector("input[name=choice]:not([disabled])");
    if (one) { one.checked = !one.checked; tell(); event.preventDefault(); }
  }
});

window.addEventListener("pageshow", () => { if (all()) { all().hidden = false; tell(); } });
