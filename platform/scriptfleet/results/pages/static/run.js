// Shows a run that goes on: its output as it comes, its readings, and its end. Text alone is ever put into the page.
"use strict";
(() => {
  const live = document.getElementById("live");
  const output = document.getElementById("output");
  const state = document.getElementById("live-state");
  const button = document.getElementById("pause");
  // A browser lays out this much at once without a pause that people notice.
  const MOST_CHARACTERS = 200000;
  const MOST_PIECES = 400;
  // A service that had no room for one more line is asked again after this many milliseconds.
  const PATIENCE = 3000;
  let waiting = [];
  let shown = 0;
  let isPaused = false;
  let isDrawing = false;

  const say = (text) => { state.textContent = text; };
  const set = (name, text) => { const place = document.querySelector(`[data-now="${name}"]`); if (place) place.textContent = text; };

  const draw = () => {
    isDrawing = false;
    if (isPaused || !waiting.length) return;
    const isAtEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    for (const [stream, text] of waiting) {
      const piece = document.createElement("span");
      if (stream === "stderr") piece.className = "stderr";
      piece.textContent = text;
      output.append(piece);
      shown += text.length;
    }
    waiting = [];
    while (output.firstChild && output.childNodes.length > 1 && (shown > MOST_CHARACTERS || output.childNodes.length > MOST_PIECES)) {
      shown -= output.firstChild.textContent.length;
      output.firstChild.remove();
      output.dataset.cut = "true";
    }
    if (isAtEnd) output.scrollTop = output.scrollHeight;
  };

  const add = (pieces) => {
    for (const [stream, text] of pieces) {
      const last = waiting[waiting.length - 1];
      if (last && last[0] === stream && last[1].length < 16384) last[1] += text;
      else waiting.push([stream, text]);
    }
    let most = waiting.reduce((sum, piece) => sum + piece[1].length, 0);
    while (most > MOST_CHARACTERS && waiting.length > 1) most -= waiting.shift()[1].length;
    if (isPaused) say(`paused, ${waiting.length ? "more has come" : "nothing new"}`);
    else if (!isDrawing) { isDrawing = true; requestAnimationFrame(draw); }
  };

  const read = (reading) => {
    if (reading.cpu_percent !== undefined) set("cpu", `${reading.cpu_percent.toFixed(0)} %`);
    if (reading.memory_mb !== undefined) set("memory", `${reading.memory_mb.toFixed(1)} MiB`);
    if (reading.processes !== undefined) set("processes", String(reading.processes));
    const share = typeof reading.progress === "number" ? `${(reading.progress * 100).toFixed(0)} %` : "";
    if (share || reading.message) set("progress", [share, reading.message || ""].filter(Boolean).join(" · "));
    if (reading.block_io_read_bytes !== null && reading.block_io_read_bytes !== undefined) {
      set("io", `${mebibytes(reading.block_io_read_bytes)} / ${mebibytes(reading.block_io_write_bytes)}`);
    }
    const place = document.querySelector("[data-curve]");
    if (reading.curve && place) curves.get(place).set(reading.curve);
    const missed = document.querySelector("[data-missed]");
    if (missed) missed.textContent = reading.missed;
  };
  const mebibytes = (bytes) => `${(bytes / 1048576).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;

  const show = (tree) => {
    const place = document.querySelector("[data-processes]");
    if (!place) return;
    place.querySelector("tbody").replaceChildren(...tree.rows.map(([depth, command, ...rest]) => {
      const row = document.createElement("tr");
      const name = document.createElement("th");
      name.scope = "row";
      name.className = `process depth-${depth}`;
      name.textContent = command;
      name.title = command;
      row.append(name, ...rest.map((text) => {
        const cell = document.createElement("td");
        cell.className = "number";
        cell.textContent = text;
        return cell;
      }));
      return row;
    }));
    place.querySelector("[data-note]").textContent = tree.note;
    place.hidden = false;
  };

  // The record says more than was seen live: its parts take the place of those that were here.
  const finish = async () => {
    say("ended");
    button.hidden = true;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    // What a short run printed came with its record alone.
    if (!shown) for (const part of fresh.querySelectorAll("pre.output")) add([[part.getAttribute("aria-labelledby"), part.textContent]]);
    for (const part of document.querySelectorAll("[data-part]")) {
      const other = fresh.getElementById(part.id);
      if (other) part.replaceWith(document.adoptNode(other));
    }
    document.querySelector("[data-missed]").textContent = fresh.querySelector("[data-missed]").textContent;
    const curve = fresh.querySelector("[data-curve]");
    const place = document.querySelector("[data-curve]");
    const points = curve ? JSON.parse(curve.dataset.curve) : [];
    if (points.length && points[0].length > 1) curves.get(place).set(points);
    else document.querySelector("[data-no-curve]").textContent = fresh.querySelector("[data-no-curve]").textContent;
    document.body.dataset.ended = "true";
  };

  const clock = setInterval(() => {
    const place = document.querySelector("[data-clock]");
    if (!place) { clearInterval(clock); return; }
    const seconds = Math.max(0, Date.now() / 1000 - Number(place.dataset.clock));
    place.textContent = seconds < 100 ? `${seconds.toFixed(0)} s` : `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  }, 1000);

  let source = null;
  const open = () => {
    source = new EventSource(live.dataset.events);
    source.onopen = () => say(isPaused ? "paused" : "live");
    source.onerror = () => {
      say("connecting again");
      // Cut lines are taken up by the browser, refused ones by nobody: a proxy tells so while the service starts anew.
      if (source.readyState === EventSource.CLOSED) setTimeout(again, PATIENCE);
    };
    source.addEventListener("output", (event) => add(JSON.parse(event.data)));
    source.addEventListener("reading", (event) => read(JSON.parse(event.data)));
    source.addEventListener("processes", (event) => show(JSON.parse(event.data)));
    source.addEventListener("end", () => { source.close(); isPaused = false; draw(); finish(); });
  };
  // A new line begins at the beginning of the output.
  const again = () => {
    waiting = [];
    shown = 0;
    output.replaceChildren();
    open();
  };
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    button.textContent = isPaused ? "Go on" : "Pause";
    say(isPaused ? "paused" : "live");
    draw();
  });
})();
