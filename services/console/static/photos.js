// Photos of a case: dropped and pasted ones are uploaded at once, chosen ones by the button; a click opens them larger.
"use strict";

(() => {
  const form = () => document.getElementById("upload");

  // What comes while others are on their way waits for them: the form is made anew by their answer.
  let waiting = [];
  let under_way = false;

  function upload(files) {
    if (!form()) return false;
    waiting.push(...files); // also what is neither picture nor film: the answer says so
    send();
    return true;
  }
  function send() {
    if (under_way || !waiting.length || !form()) return;
    const carried = new DataTransfer();
    for (const one of waiting.splice(0)) carried.items.add(one);
    form().querySelector("#upload-file").files = carried.files;
    form().requestSubmit();
  }

  document.addEventListener("dragover", (event) => {
    if (!form() || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form().classList.add("drop");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) form()?.classList.remove("drop"); });
  document.addEventListener("drop", (event) => {
    if (!form() || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    form().classList.remove("drop");
    upload(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length && upload(event.clipboardData.files)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt.id !== "upload") return;
    under_way = true;
    event.detail.elt.querySelector("button").textContent = event.detail.elt.dataset.uploading;
  });
  document.addEventListener("htmx:load", (event) => {
    if (event.detail.elt.id !== "upload") return;
    under_way = false;
    send();
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (event.detail.elt.id !== "upload") return;
    under_way = false;
    event.detail.elt.querySelector("button").textContent = event.detail.elt.dataset.upload;
  });
  // A refused upload is answered with the form again: it is shown, whatever the status. Any other answer is a page.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.elt?.id !== "upload") return;
    event.detail.shouldSwap = event.detail.serverResponse.includes('id="upload"');
    event.detail.isError = false;
    if (!event.detail.shouldSwap) form().submit();
  });

  // The viewer.
  const viewer = document.getElementById("viewer");
  const picture = viewer.querySelector("img");
  const SIZES = [1, 1.5, 2, 3, 4];
  let shown = "";
  let size = 0;

  const photos = () => [...document.querySelectorAll("[data-photo]")];
  function show(photo) {
    shown = photo.dataset.photo;
    picture.src = photo.getAttribute("href");
    picture.alt = photo.querySelector("img").alt;
    zoom(0);
    if (!viewer.open) viewer.showModal();
  }
  function zoom(wanted) {
    size = Math.max(0, Math.min(SIZES.length - 1, wanted));
    picture.className = `zoom-${size}`;
  }
  function step(by) {
    const all = photos();
    const at = all.findIndex((one) => one.dataset.photo === shown);
    if (at >= 0) show(all[(at + by + all.length) % all.length]);
  }
  const DO = { in: () => zoom(size + 1), out: () => zoom(size - 1), before: () => step(-1), after: () => step(1), close: () => viewer.close() };
  const KEYS = { "+": "in", "=": "in", "-": "out", ArrowLeft: "before", ArrowRight: "after" };

  document.addEventListener("click", (event) => {
    const photo = event.target.closest("[data-photo]");
    if (photo && !event.ctrlKey && !event.metaKey) { event.preventDefault(); show(photo); }
    const button = event.target.closest("[data-view]");
    if (button) DO[button.dataset.view]();
    if (event.target === viewer) viewer.close();
  });
  picture.addEventListener("click", () => zoom(size ? 0 : 2));
  viewer.addEventListener("keydown", (event) => {
    if (KEYS[event.key] && !(size && event.key.startsWith("Arrow"))) { DO[KEYS[event.key]](); event.preventDefault(); }
  });
})();
