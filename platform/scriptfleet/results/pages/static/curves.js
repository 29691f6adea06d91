// Draws curves: each element with data-curve holds seconds, then a list for each series.
"use strict";
const HEIGHT = 190;
const seriesOf = (element) => element.dataset.names ? JSON.parse(element.dataset.names) : null;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// The service says below zero where a line is broken, and null where it has no point: the chart calls these null and undefined.
const pointOf = (value) => (value === null ? undefined : value < 0 ? null : value);
const isKnown = (values) => (values || []).some((value) => value !== null && value >= 0);
// Upright lines at moments that are marked.
const drawMarks = (chart, marks) => {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = colour("--bad");
  ctx.setLineDash([6, 4]);
  for (const mark of marks) {
    const x = Math.round(chart.valToPos(mark, "x", true));
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
  }
  ctx.restore();
};
const axis = (label) => ({
  stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
  label, labelSize: 18, size: 58, font: "12px system-ui", labelFont: "12px system-ui",
});
// Moments as all pages write them, in UTC; a day is said where it begins.
const moment = (seconds) => new Date(seconds * 1000).toISOString().replace("T", " ");
const stamps = (chart, moments, at, space, step) => moments.map((seconds, place) => {
  const text = moment(seconds);
  if (step >= 86400) return text.slice(0, 10);
  const clock = text.slice(11, step < 60 ? 19 : 16);
  const isNewDay = !place || text.slice(0, 10) !== moment(moments[place - 1]).slice(0, 10);
  return isNewDay ? `${clock}\n${text.slice(0, 10)}` : clock;
});

class Curves {
  constructor(element) {
    this.element = element;
    this.note = element.parentElement.querySelector("[data-no-curve]");
    this.charts = [];
    this.data = JSON.parse(element.dataset.curve);
    this.set(this.data);
    new ResizeObserver(() => this.resize()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  // One chart for each measure, so that each has its own scale; runs that are compared share a chart.
  plans() {
    if ("trend" in this.element.dataset) {
      return [["Wall time, seconds", [{ label: "Median", at: 1, colour: "--first" }, { label: "p95", at: 2, colour: "--second" }]]];
    }
    const names = seriesOf(this.element);
    if (names) {
      const lines = (first) => names.map((name, at) => ({ label: name, at: first + at, colour: at ? "--second" : "--first" }));
      return ["CPU, % of a core", "Memory, MiB", "Read, MiB/s", "Written, MiB/s"].map((label, at) => [label, lines(1 + at * names.length)]);
    }
    return [
      ["CPU, % of a core", [{ label: "CPU", at: 1, colour: "--first" }]],
      ["Memory, MiB", [{ label: "Memory", at: 2, colour: "--second" }]],
      ["Storage, MiB/s", [{ label: "Read", at: 3, colour: "--first" }, { label: "Written", at: 4, colour: "--second" }]],
    ];
  }

  // Those of which something is known.
  known() { return this.plans().filter(([, lines]) => lines.some((line) => isKnown(this.data[line.at]))); }
  values(lines) { return [this.data[0], ...lines.map((line) => this.data[line.at].map(pointOf))]; }

  set(data) {
    this.data = data;
    const isEmpty = !data.length || data[0].length < 2;
    if (this.note) this.note.hidden = !isEmpty;
    if (isEmpty) return;
    const known = this.known();
    if (known.length !== this.charts.length) { this.clear(); this.draw(known); }
    else known.forEach(([, lines], at) => this.charts[at].setData(this.values(lines)));
    this.element.dataset.points = String(data[0].length);
  }

  draw(known) {
    const isTrend = "trend" in this.element.dataset;
    const marks = JSON.parse(this.element.dataset.marks || "[]");
    for (const [label, lines] of known) {
      const place = document.createElement("div");
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", `Curve of ${label} over ${isTrend ? "time" : "the time of the run"}`);
      this.element.append(place);
      const series = lines.map((line) => ({
        label: line.label, stroke: colour(line.colour), width: 2, spanGaps: false, points: { show: false },
        fill: lines.length === 1 ? colour(line.colour) + "22" : undefined,
        value: (chart, value) => (value === null || value === undefined ? "–" : value.toLocaleString()),
      }));
      const options = {
        width: this.width(place), height: HEIGHT, series: [isTrend ? { label: "From (UTC)", value: (chart, value) => (value === null ? "–" : moment(value).slice(0, 19)) } : { label: "Seconds", value: (chart, value) => (value === null ? "–" : value.toFixed(2)) }, ...series],
        hooks: { draw: [(chart) => drawMarks(chart, marks)] },
        bands: isTrend ? [{ series: [2, 1], fill: colour("--second") + "22" }] : [],
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { x: { time: isTrend }, y: { range: (chart, low, high) => [0, isTrend ? high * 1.1 || 1 : Math.max(1, high * 1.1)] } },
        axes: [{ ...axis(isTrend ? "UTC" : "seconds"), ...(isTrend ? { size: 46, space: 84, values: stamps } : { size: 34 }) }, axis(label)], cursor: { drag: { x: true, y: false } },
      };
      this.charts.push(new uPlot(options, this.values(lines), place));
    }
  }

  // That of its column; at first of the narrowest phone.
  width(place) { return Math.max(220, place.clientWidth); }
  resize() {
    for (const chart of this.charts) {
      const width = this.width(chart.root.parentElement);
      if (Math.abs(chart.width - width) > 1) chart.setSize({ width, height: HEIGHT });
    }
  }
  clear() { for (const chart of this.charts) chart.destroy(); this.charts = []; this.element.replaceChildren(); }
  redraw() { this.clear(); this.set(this.data); }
}

const curves = new Map([...document.querySelectorAll("[data-curve]")].map((element) => [element, new Curves(element)]));
