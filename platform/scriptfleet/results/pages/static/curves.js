// Draws curves: each element with data-curve holds seconds, then a list for each series.
"use strict";
const seriesOf = (element) => element.dataset.names ? JSON.parse(element.dataset.names) : null;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axis = (label) => ({
  stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
  label, labelSize: 18, size: 58, font: "12px system-ui", labelFont: "12px system-ui",
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
      return [["CPU, % of a core", lines(1)], ["Memory, MiB", lines(1 + names.length)]];
    }
    return [
      ["CPU, % of a core", [{ label: "CPU", at: 1, colour: "--first" }]],
      ["Memory, MiB", [{ label: "Memory", at: 2, colour: "--second" }]],
    ];
  }

  set(data) {
    this.data = data;
    const isEmpty = !data.length || data[0].length < 2;
    if (this.note) this.note.hidden = !isEmpty;
    if (isEmpty) return;
    if (!this.charts.length) this.draw();
    else this.plans().forEach(([, lines], at) => this.charts[at].setData([data[0], ...lines.map((line) => data[line.at])]));
    this.element.dataset.points = String(data[0].length);
  }

  draw() {
    const isTrend = "trend" in this.element.dataset;
    for (const [label, lines] of this.plans()) {
      const place = document.createElement("div");
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", `Curve of ${label} over the time of the run`);
      this.element.append(place);
      const series = lines.map((line) => ({
        label: line.label, stroke: colour(line.colour), width: 2, spanGaps: true, points: { show: false },
        fill: lines.length === 1 ? colour(line.colour) + "22" : undefined,
        value: (chart, value) => (value === null || value === undefined ? "–" : value.toLocaleString()),
      }));
      const options = {
        width: this.width(), height: 190, series: [isTrend ? { label: "Until" } : { label: "Seconds", value: (chart, value) => (value === null ? "–" : value.toFixed(2)) }, ...series],
        bands: isTrend ? [{ series: [2, 1], fill: colour("--second") + "22" }] : [],
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { x: { time: isTrend }, y: { range: (chart, low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [{ ...axis(isTrend ? "" : "seconds"), size: 34 }, axis(label)], cursor: { drag: { x: true, y: false } },
      };
      this.charts.push(new uPlot(options, [this.data[0], ...lines.map((line) => this.data[line.at])], place));
    }
  }

  width() { return Math.max(220, this.element.clientWidth > 900 && this.plans().length > 1 ? this.element.clientWidth / 2 - 8 : this.element.clientWidth); }
  resize() { for (const chart of this.charts) if (Math.abs(chart.width - this.width()) > 1) chart.setSize({ width: this.width(), height: 190 }); }
  redraw() { for (const chart of this.charts) chart.destroy(); this.charts = []; this.element.replaceChildren(); this.set(this.data); }
}

const curves = new Map([...document.querySelectorAll("[data-curve]")].map((element) => [element, new Curves(element)]));
