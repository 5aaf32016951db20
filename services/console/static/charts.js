// Draws every element with data-chart, also those that htmx brings later. The attribute holds the JSON that `chart` of
// services/console/charts.py makes:
//   {"labels": ["2026-09", …] or "times": [seconds since 1970, …], "x": "what they are",
//    "series": [{"name": "…", "values": [1, null, …], "unit": "fen" | "bp" | "seconds" | "count", "colour": 1 to 7}, …]}
// A second unit has an axis of its own, on the right. An element of class spark is a line and nothing else.
// Without scripts nothing is missing that the table beside a chart does not say.
"use strict";

(() => {
  const SHOP_ZONE = "Asia/Shanghai", SECONDS_UNTIL = 600; // up to so long, the axis of times has seconds
  //: Lines differ by more than their colour, for those who cannot tell colours apart.
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [14, 4], [2, 6]];
  const clock = (options) => new Intl.DateTimeFormat("sv-SE", { timeZone: SHOP_ZONE, ...options });
  const minute = clock({ hour: "2-digit", minute: "2-digit" });
  const second = clock({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const moment = clock({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  //: What may stand between two marks of an axis: things that are counted have no halves, moments are told to the second.
  const WHOLE = [...Array(12).keys()].flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power));
  const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const drawn = new Map();

  const spaced = (number, digits) => number.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  //: How a value is told, exactly, and how it stands at an axis.
  const UNITS = {
    fen: { exact: (fen) => (fen < 0 ? "-" : "") + spaced(Math.abs(fen) / 100, 2), axis: (fen) => short(fen / 100) },
    bp: { exact: (bp) => `${(bp / 100).toFixed(2)} %`, axis: (bp) => `${+(bp / 100).toFixed(2)} %` },
    seconds: { exact: (seconds) => `${+seconds.toFixed(1)} s`, axis: (seconds) => `${short(seconds)} s` },
    count: { exact: (count) => short(count), axis: (count) => short(count) },
  };

  function short(number) {
    const text = String(+Math.abs(number).toFixed(2));
    const [whole, rest] = text.split(".");
    return (number < 0 ? "-" : "") + whole.replace(/\B(?=(\d{3})+$)/g, " ") + (rest ? `.${rest}` : "");
  }

  function colours(element, series) {
    const style = getComputedStyle(element);
    const named = (name) => style.getPropertyValue(name).trim();
    const lines = series.map((one, at) => named(`--chart-${one.colour || (at % DASHES.length) + 1}`));
    return { lines, ink: named("--ink"), grid: named("--line"), paper: named("--paper"), font: style.fontFamily };
  }

  // Labels stand at whole numbers only, as many as there is room for.
  function places(chart, _axis, low, high) {
    const last = chart.data[0].length - 1, room = Math.max(1, Math.floor(chart.width / 80));
    const step = Math.max(1, Math.ceil((last + 1) / room)), found = [];
    for (let at = last; at >= 0; at -= step) if (at >= low && at <= high) found.unshift(at);
    return found;
  }

  const latest = (chart) => chart.setLegend({ idx: chart.data[0].length - 1 }, false);
  const fromZero = (_chart, low, high) => uPlot.rangeNum(Math.min(0, low ?? 0), Math.max(0, high ?? 0) || 1, 0.1, true);
  const measured = (told) => [...new Set(told.series.map((one) => one.unit))];

  function scales(told) {
    const x = told.times ? { time: true } : { time: false, range: () => [-0.4, told.labels.length - 0.6] };
    return { x, ...Object.fromEntries(measured(told).map((unit) => [unit, { range: fromZero }])) };
  }

  function options(element, told) {
    const paint = colours(element, told.series), points = (told.labels || told.times).length;
    const brief = told.times && told.times[points - 1] - told.times[0] <= SECONDS_UNTIL ? second : minute;
    const at = (value) => told.times ? moment.format(value * 1000) : told.labels[value];
    const axis = { stroke: paint.ink, grid: { stroke: paint.grid, width: 1 }, ticks: { stroke: paint.grid, width: 1 }, font: `12px ${paint.font}` };
    return {
      ...size(element),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), SHOP_ZONE),
      scales: scales(told),
      axes: [
        { ...axis, ...(told.times ? { space: 80, incrs: SECONDS, values: (_chart, found) => found.map((one) => brief.format(one * 1000)) } : { splits: places, values: (_chart, found) => found.map(at) }) },
        ...measured(told).map((unit, index) => ({
          ...axis, scale: unit, side: index ? 1 : 3, ...(unit === "count" ? { incrs: WHOLE } : {}), grid: { ...axis.grid, show: !index },
          values: (_chart, found) => found.map(UNITS[unit].axis),
          size: (_chart, found) => 18 + 8 * Math.max(4, ...(found || []).map((one) => one.length)),
        })),
      ],
      series: [
        { label: told.x, value: (_chart, value) => value == null ? "–" : at(value) },
        ...told.series.map((one, index) => ({
          label: one.name, scale: one.unit, stroke: paint.lines[index], width: 2, dash: DASHES[index % DASHES.length], spanGaps: false,
          points: { show: points <= 24, size: 6, fill: paint.paper },
          value: (_chart, value) => value == null ? "–" : UNITS[one.unit].exact(value),
        })),
      ],
      cursor: { drag: { x: false, y: false }, focus: { prox: 24 } },
      focus: { alpha: 0.25 }, // the line that is pointed at, here or in the legend, stands out
      legend: { live: true },
      // Where nobody points at a place, the legend tells the last one.
      hooks: { ready: [latest], setCursor: [(chart) => { if (chart.cursor.idx == null) latest(chart); }] },
    };
  }

  function plain(element, told) {
    const { lines } = colours(element, told.series);
    return {
      ...size(element),
      scales: scales(told),
      axes: [{ show: false }, { show: false }],
      padding: [2, 2, 2, 2],
      series: [{}, ...told.series.map((one, index) => ({ scale: one.unit, stroke: lines[index], width: 1.5, points: { show: false } }))],
      cursor: { show: false },
      legend: { show: false },
    };
  }

  // As wide as its place; how high the drawing is, without the legend, the stylesheet says.
  function size(element) {
    return { width: element.clientWidth, height: Number(getComputedStyle(element).getPropertyValue("--chart-height")) };
  }

  function draw(element) {
    const told = JSON.parse(element.dataset.chart);
    drawn.get(element)?.destroy();
    if (!element.clientWidth) { drawn.delete(element); return; } // hidden for now; drawn once it has a size
    const xs = told.times || told.labels.map((_, index) => index);
    const make = element.classList.contains("spark") ? plain : options;
    const chart = new uPlot(make(element, told), [xs, ...told.series.map((one) => one.values)], element);
    drawn.set(element, chart);
    element.dataset.drawn = "yes";
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = drawn.get(target);
      if (!chart) draw(target);
      else if (target.clientWidth && chart.width !== target.clientWidth) chart.setSize(size(target));
    }
  });

  function drawAll(within) {
    for (const element of drawn.keys()) if (!element.isConnected) { drawn.get(element).destroy(); drawn.delete(element); resized.unobserve(element); }
    const found = [...within.querySelectorAll("[data-chart]")];
    if (within.matches?.("[data-chart]")) found.push(within);
    for (const element of found) if (!drawn.has(element)) { draw(element); resized.observe(element); }
  }

  drawAll(document);
  document.addEventListener("htmx:load", (event) => drawAll(event.target));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const element of [...drawn.keys()]) draw(element); });
})();
