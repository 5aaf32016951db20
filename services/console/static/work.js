// Whoever comes back to the work lists sees how much there is now.
"use strict";

document.addEventListener("visibilitychange", () => {
  const lists = document.getElementById("lists");
  if (document.visibilityState !== "visible" || !lists) return;
  htmx.ajax("GET", lists.dataset.fresh, { target: "#lists", select: "#lists", swap: "outerHTML" });
});
