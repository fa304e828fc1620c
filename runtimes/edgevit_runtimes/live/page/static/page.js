"use strict";

// Asks for the next answer once the one before is on the screen, so nothing queues up here either.

const POINTS = 160; // of the latency chart
const AGAIN_MS = 1000; // until a lost connection is tried again
const ROWS = {
  classification: "Likeliest classes",
  segmentation: "Areas of the classes",
  detection: "Objects",
};
const by = (id) => document.getElementById(id);
const latencies = [];
let socket = null;

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.binaryType = "blob";
  socket.onopen = askForNext;
  socket.onmessage = ({ data }) => (typeof data === "string" ? showStatus(JSON.parse(data)) : showPicture(data));
  socket.onclose = () => {
    setState("disconnected");
    setTimeout(connectAgain, AGAIN_MS);
  };
}

// A run that was started anew has another token: the page that asks for it comes by loading.
async function connectAgain() {
  const answer = await fetch("/healthz").catch(() => null);
  if (answer && answer.status === 401) {
    location.reload();
  } else {
    connect();
  }
}

function askForNext() {
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ outlines: by("outlines").checked }));
  }
}

function showPicture(blob) {
  const picture = by("picture");
  const url = URL.createObjectURL(blob);
  picture.onload = picture.onerror = () => {
    URL.revokeObjectURL(url);
    askForNext();
  };
  picture.src = url;
}

function showStatus(status) {
  setState(status.state);
  showFacts(status);
  if (status.answer) {
    showBars(rowsOf(status.answer), status.colours);
    by("note").textContent = status.trained ? "" : "Untrained weights: the answers mean nothing.";
  }
  if (status.has_picture) {
    addLatency(status.answer.ms.latency);
  } else {
    askForNext();
  }
}

function setState(state) {
  by("state").textContent = state;
  by("state").classList.toggle("live", state === "live");
}

function showFacts(status) {
  const { frames, capture_to_answer_ms: latency } = status;
  const shown = {
    source: status.source,
    fps: status.fps.toFixed(1),
    dropped: frames.dropped,
    answered: frames.answered,
    reconnects: frames.reconnects,
    percentiles: `${["p50", "p90", "p99"].map((p) => rounded(latency[p])).join(" / ")} ms`,
    viewers: status.viewers,
    model: `${status.model}, ${status.variant}, ${status.runtime}`,
    device: status.device,
  };
  for (const [id, text] of Object.entries(shown)) {
    by(id).textContent = text;
  }
  by("outlines").disabled = !status.has_superpixels;
  by("outlines").parentElement.hidden = status.task !== "classification";
  by("bars").setAttribute("aria-label", ROWS[status.task]);
}

function rounded(value) {
  return value === null ? "-" : value.toFixed(1);
}

// Of a mask the areas of the classes; of a detector how many objects of each, and the best score.
function rowsOf(answer) {
  if (answer.classes) {
    return answer.classes.map(({ label, area }) => ({ label, text: label, share: area }));
  }
  if (answer.objects) {
    return answer.answers.map(({ label, probability }) => {
      const count = answer.objects.filter((each) => each.label === label).length;
      return { label, text: `${label} × ${count}`, share: probability };
    });
  }
  return answer.answers.map(({ label, probability }, place) => {
    const unsure = answer.unsure && place === 0;
    return { label, text: unsure ? `unsure: ${label}` : label, share: probability, unsure };
  });
}

function showBars(rows, colours) {
  const list = by("bars");
  while (list.children.length < rows.length) {
    list.append(newBar());
  }
  while (list.children.length > rows.length) {
    list.lastChild.remove();
  }
  rows.forEach(({ label, text, share, unsure }, place) => {
    const bar = list.children[place];
    bar.classList.toggle("unsure", Boolean(unsure));
    bar.querySelector(".label").textContent = text;
    bar.querySelector(".probability").textContent = `${(100 * share).toFixed(1)} %`;
    bar.querySelector(".fill").style.transform = `scaleX(${share})`;
    bar.querySelector(".fill").style.background = colours[label] || "";
  });
}

function newBar() {
  const bar = document.createElement("li");
  for (const part of ["fill", "label", "probability"]) {
    const span = document.createElement("span");
    span.className = part;
    bar.append(span);
  }
  return bar;
}

function addLatency(value) {
  latencies.push(value);
  if (latencies.length > POINTS) {
    latencies.shift();
  }
  by("latency").textContent = `${rounded(value)} ms`;
  drawChart();
}

function drawChart() {
  const canvas = by("chart");
  const chart = canvas.getContext("2d");
  const { width, height } = canvas;
  const highest = 1.15 * Math.max(...latencies, 1);
  const y = (value) => height - (value / highest) * height;
  chart.clearRect(0, 0, width, height);
  chart.font = "22px system-ui, sans-serif";
  chart.fillStyle = "#93a1ab";
  chart.strokeStyle = "#2b343b";
  chart.lineWidth = 1;
  const step = niceStep(highest / 3);
  for (let line = step; line < highest; line += step) {
    chart.beginPath();
    chart.moveTo(0, y(line));
    chart.lineTo(width, y(line));
    chart.stroke();
    chart.fillText(`${line} ms`, 8, y(line) - 6);
  }
  chart.strokeStyle = "#4cc2a0";
  chart.lineWidth = 3;
  chart.beginPath();
  latencies.forEach((value, place) => {
    chart.lineTo((place / (POINTS - 1)) * width, y(value));
  });
  chart.stroke();
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return Number((power * [1, 2, 5, 10].find((factor) => factor * power >= least)).toPrecision(1));
}

by("outlines").addEventListener("change", () => {
  by("snapshot").href = `/api/snapshot.jpg?outlines=${by("outlines").checked ? 1 : 0}`;
});
connect();
