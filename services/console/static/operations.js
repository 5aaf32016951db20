// Charts of how far consumers are behind, drawn from what the page carries; the tables beside them say the same.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const inShopTime = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Asia/Shanghai");
  const most = (_, low, high) => [0, Math.max(1, high)];

  function chart(place) {
    const { labels, data } = JSON.parse(place.dataset.chart);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 } };
    new uPlot({
      width: place.clientWidth,
      height: 160,
      tzDate: inShopTime,
      cursor: { show: false },
      scales: { events: { range: most }, seconds: { range: most } },
      axes: [
        { ...axis, values: [[1, "{HH}:{mm}:{ss}"]], space: 80 },
        { ...axis, scale: "events" },
        { ...axis, scale: "seconds", side: 1, grid: { show: false } },
      ],
      series: [
        {},
        { label: labels[0], scale: "events", stroke: colour("--accent"), width: 2, points: { show: data[0].length < 2 } },
        { label: labels[1], scale: "seconds", stroke: colour("--warn"), width: 2, dash: [6, 4] },
      ],
      legend: { show: false },
    }, data, place);
  }

  function spark(place) {
    const { data } = JSON.parse(place.dataset.spark);
    new uPlot({
      width: 110,
      height: 26,
      cursor: { show: false },
      legend: { show: false },
      scales: { y: { range: most } },
      axes: [{ show: false }, { show: false }],
      padding: [2, 2, 2, 2],
      series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
    }, data, place);
  }

  // A part that is fetched again has places without drawings; what somebody had opened in it stays open.
  let opened = false;
  function draw() {
    for (const place of document.querySelectorAll("[data-chart]:empty")) chart(place);
    for (const place of document.querySelectorAll("[data-spark]:empty")) spark(place);
    const samples = document.getElementById("samples");
    if (samples) samples.open = opened;
  }
  document.addEventListener("toggle", (event) => { if (event.target.id === "samples") opened = event.target.open; }, true);
  document.addEventListener("htmx:afterSettle", draw);
  draw();
})();
