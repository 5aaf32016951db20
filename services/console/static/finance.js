// Bill files that are dropped or chosen are sent one by one, each by a request of its own; what became of each is shown.
"use strict";

(() => {
  const form = document.getElementById("bills");
  const input = document.getElementById("bill-files");
  const taken = document.getElementById("taken");
  let waiting = Promise.resolve();
  let sent = 0;

  function address(file) {
    const asked = new URLSearchParams({ file_name: file.name, key: `${form.elements.key.value}-${(sent += 1)}` });
    for (const name of ["mapping", "merchant", "currency"]) {
      const value = form.elements[name].value.trim();
      if (value) asked.set(name, value);
    }
    return `${form.dataset.one}?${asked}`;
  }

  async function send(file, where) {
    const line = document.createElement("li");
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", file.name);
    line.append(file.name, " ", bar);
    taken.prepend(line);
    const headers = { "X-CSRF-Token": form.elements.csrf.value, "Content-Type": "application/octet-stream", "HX-Request": "true" };
    try {
      const answer = await fetch(where, { method: "POST", body: file, headers });
      if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("text/html")) throw new Error(answer.statusText);
      line.outerHTML = await answer.text();
    } catch {
      line.replaceChildren(Object.assign(document.createElement("p"), { className: "notice bad", textContent: `${file.name}: ${form.dataset.lost}` }));
    }
  }

  function sendAll(files) {
    // One after the other: the books take in one bill at a time.
    for (const file of files) {
      const where = address(file);
      waiting = waiting.then(() => send(file, where));
    }
    waiting = waiting.then(() => htmx.ajax("GET", location.href, { target: "#bills-list", select: "#bills-list", swap: "outerHTML" }));
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    sendAll([...input.files]);
    input.value = "";
  });
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.add("drop");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) form.classList.remove("drop"); });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    form.classList.remove("drop");
    sendAll([...event.dataTransfer.files]);
  });
})();
