// Keeps a part of a page up to date: its address sends events, each a new content or where to go.
"use strict";
for (const part of document.querySelectorAll("[data-live]")) {
  // A service that has no room for one more line is asked again after this many milliseconds.
  const PATIENCE = 3000;
  let source = null;
  let isPaused = false;
  let isPressed = false;
  let kept = null;
  const button = document.querySelector("[data-pause]");
  const state = document.querySelector("[data-live-state]");
  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  const isSelected = () => {
    const selection = document.getSelection();
    return !selection.isCollapsed && part.contains(selection.anchorNode);
  };
  // What somebody is about to press or to copy stays where it is until they are done.
  const isHeld = () => isPressed || isSelected();
  const keyOf = (one) => one.getAttribute("href") || one.id || one.getAttribute("aria-label");
  const swap = (html) => {
    if (isHeld()) {
      kept = html;
      if (isSelected()) say("stands still while text is selected");
      return;
    }
    kept = null;
    const focused = document.activeElement;
    const key = part.contains(focused) ? keyOf(focused) : null;
    const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    part.innerHTML = html;
    part.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
    if (!key) return;
    const again = [...part.querySelectorAll("a, button, [id], [tabindex]")].find((one) => keyOf(one) === key);
    if (again) again.focus({ preventScroll: true });
  };
  const settle = () => { if (kept !== null && !isHeld()) swap(kept); };
  const open = () => {
    if (source || isPaused || document.hidden) return;
    source = new EventSource(part.dataset.live);
    source.onopen = () => say("live");
    source.onerror = () => {
      say("connecting again: what is shown may be old");
      if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, PATIENCE); }
    };
    source.addEventListener("html", (event) => { say("live"); swap(JSON.parse(event.data)); });
    source.addEventListener("interrupted", () => say("connecting again: what is shown may be old"));
    source.addEventListener("go", (event) => { close(); location.replace(JSON.parse(event.data)); });
  };
  const close = () => { if (source) source.close(); source = null; };
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.setAttribute("aria-pressed", String(isPaused));
      button.textContent = isPaused ? "Go on" : "Pause updates";
      if (isPaused) { close(); kept = null; say("paused"); } else open();
    });
  }
  part.addEventListener("pointerdown", () => { isPressed = true; });
  // A touch is told as a click a little after it is over.
  const release = () => setTimeout(() => { isPressed = false; settle(); }, 50);
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, release);
  document.addEventListener("selectionchange", settle);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}
