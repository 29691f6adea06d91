// Keeps a part of a page up to date: its address sends events, each a new content or where to go.
"use strict";
for (const part of document.querySelectorAll("[data-live]")) {
  let source = null;
  let isPaused = false;
  const button = document.querySelector("[data-pause]");
  const swap = (html) => {
    const focused = document.activeElement;
    const key = part.contains(focused) ? focused.getAttribute("href") || focused.id : null;
    const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    part.innerHTML = html;
    part.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
    if (!key) return;
    const again = [...part.querySelectorAll("a, button, [id]")].find((one) => one.getAttribute("href") === key || one.id === key);
    if (again) again.focus({ preventScroll: true });
    document.dispatchEvent(new Event("swapped"));
  };
  const open = () => {
    if (source || isPaused || document.hidden) return;
    source = new EventSource(part.dataset.live);
    source.addEventListener("html", (event) => swap(JSON.parse(event.data)));
    source.addEventListener("go", (event) => { close(); location.replace(JSON.parse(event.data)); });
  };
  const close = () => { if (source) source.close(); source = null; };
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.setAttribute("aria-pressed", String(isPaused));
      button.textContent = isPaused ? "Go on" : "Pause";
      if (isPaused) close(); else open();
    });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
