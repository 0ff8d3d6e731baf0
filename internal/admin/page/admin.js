// The cluster page: asks the node that it came from, which asks the others.
import * as figures from "./figures.js";
import { History } from "./figures.js";

const every = 2000; // milliseconds between two looks
const mostRooms = 15;
const tokenKey = "roomcast-admin";

const $ = (id) => document.getElementById(id);
const history = new History();
let cluster = { nodes: [], silent: [] };
let token = sessionStorage.getItem(tokenKey) ?? "";
let pages = 1; // of sockets that are shown

// element makes an element; text is never markup.
function element(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") e.className = value;
    else if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (name.startsWith("data-")) e.setAttribute(name, value);
    else e[name] = value;
  }
  e.append(...children.filter((child) => child !== undefined));
  return e;
}

const cell = (content, kind = "") => element("td", { class: kind }, content);
const pill = (text, tone) => element("span", { class: "pill", "data-tone": tone }, text);
const nodeName = (id) => cluster.nodes.find((node) => node.id === id)?.name ?? id;

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers });
  if (!response.ok) throw Object.assign(new Error((await response.text()).trim()), { status: response.status });
  return response.status === 204 ? undefined : response.json();
}

// act carries out an action and says what became of it.
async function act(action, done) {
  await ask("actions", { method: "POST", body: JSON.stringify(action) });
  toast(done);
  await look();
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").textContent = ""), 4000);
}

// asking shows a dialog and calls submit when it is confirmed; an error stays shown.
function asking(name, submit) {
  const dialog = $(name);
  const error = $(`${name}error`);
  error.textContent = "";
  const form = dialog.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    try {
      await submit();
      dialog.close();
    } catch (err) {
      error.textContent = err.message;
    }
  };
  dialog.showModal();
}

function confirm(question, consequence, verb, action, done) {
  $("question").textContent = question;
  $("consequence").textContent = consequence;
  $("yes").textContent = verb;
  asking("confirm", () => act(action, done));
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

// Access

function unlocked(on) {
  document.body.dataset.access = on ? "full" : "read";
  $("lock").textContent = on ? "Lock actions" : "Unlock actions";
  if (!on) token = "";
  if (token) sessionStorage.setItem(tokenKey, token);
  else sessionStorage.removeItem(tokenKey);
}

async function unlock(given) {
  token = given;
  try {
    await ask("credential", { method: "POST" });
  } catch (err) {
    unlocked(false);
    throw err.status === 401 ? new Error("This is not the credential.") : err;
  }
  unlocked(true);
  await look();
}

$("lock").addEventListener("click", () => {
  if (document.body.dataset.access === "full") {
    unlocked(false);
    look();
    return;
  }
  $("token").value = "";
  asking("unlock", () => unlock($("token").value));
});

// What is shown

function tile(value, label, tone = "") {
  return element("div", { class: "tile", "data-tone": tone }, element("b", {}, value), element("span", {}, label));
}

function showTiles() {
  const { nodes, silent } = cluster;
  const slow = figures.sum(nodes, (n) => n.slowConsumers);
  const away = nodes.filter((n) => n.bus.state !== "up").length;
  const lags = nodes.map((n) => history.lag(n.id)).filter((lag) => lag !== undefined);
  const lag = lags.length ? `bus, lag ${Math.max(...lags).toFixed(1)} ms` : "bus";
  const websockets = figures.sum(nodes, (n) => n.sessions.websocket ?? 0);
  $("tiles").replaceChildren(
    tile(figures.number(nodes.length), silent.length ? `nodes, ${silent.length} silent` : "nodes", silent.length ? "warn" : ""),
    tile(figures.number(figures.sum(nodes, figures.clients)), `clients, ${figures.number(websockets)} on WebSocket`),
    tile(figures.number(figures.sum(nodes, figures.sockets)), "sockets"),
    tile(figures.rate(history.now()?.in), "events in per second"),
    tile(figures.rate(history.now()?.out), "events out per second"),
    tile(away ? "degraded" : "up", away ? `bus, on ${away} of ${nodes.length} nodes` : lag, away ? "bad" : "good"),
    tile(figures.number(slow), "slow consumers closed", slow ? "warn" : ""),
  );
}

function nodeRow(node) {
  const rate = history.rate(node.id);
  const lag = history.lag(node.id);
  const drain = () => confirm(`Drain ${node.name}?`, "It takes no new clients, lets its clients go to other nodes, and ends.", "Drain",
    { kind: "drain", node: node.id }, `${node.name} drains`);
  return element("tr", { "data-node": node.name },
    cell(element("b", { class: node.id === cluster.node ? "here" : "", title: node.id }, node.name)),
    cell(node.ready ? pill("ready", "good") : pill("not ready", "warn")),
    cell(figures.number(figures.clients(node)), "n"), cell(figures.number(figures.sockets(node)), "n"), cell(figures.number(node.roomCount), "n"),
    cell(figures.rate(rate?.in), "n"), cell(figures.rate(rate?.out), "n"),
    cell(pill(node.bus.state, node.bus.state === "up" ? "good" : "bad")),
    cell(lag === undefined ? "–" : `${lag.toFixed(1)} ms`, "n"), cell(figures.number(node.slowConsumers), "n"),
    cell(figures.bytes(node.heapBytes), "n"), cell(figures.duration(Date.parse(node.at) - Date.parse(node.started)), "n"),
    cell(node.drains ? element("button", { type: "button", onclick: drain }, "Drain") : undefined, "act"));
}

function showNodes() {
  const silent = cluster.silent.map((id) => element("tr", {}, cell(element("b", {}, id)), cell(pill("silent", "warn")),
    element("td", { colSpan: 11, class: "quiet" }, "has not answered, or has no admin listener")));
  $("nodes").replaceChildren(...cluster.nodes.map(nodeRow), ...silent);
}

function showRooms() {
  const list = figures.rooms(cluster.nodes, mostRooms);
  const cut = list.length === mostRooms || cluster.nodes.some((n) => n.rooms.length < n.roomCount);
  $("roomcount").textContent = cut ? "by what each node says of its own largest" : "";
  $("rooms").replaceChildren(...list.map((room) => element("tr", { "data-room": room.room },
    cell(element("button", { type: "button", class: "link", onclick: () => find(room.namespace, room.room) }, room.room)),
    cell(room.namespace, "quiet"), cell(figures.number(room.sockets), "n"), cell(figures.number(room.nodes.length), "n"),
    cell(element("button", { type: "button", onclick: () => message(room) }, "Message"), "act"))));
  if (list.length === 0) $("rooms").append(element("tr", {}, element("td", { colSpan: 5, class: "quiet" }, "No socket is in a room.")));
}

function message(room) {
  $("messageroom").textContent = room.room;
  asking("message", async () => {
    let args;
    try {
      args = JSON.parse($("args").value);
    } catch (err) {
      throw new Error(`The arguments are no JSON: ${err.message}`);
    }
    if (!Array.isArray(args)) throw new Error("The arguments are a JSON array, such as [1, \"two\"].");
    await act({ kind: "message", node: room.nodes[0], namespace: room.namespace, room: room.room, event: $("event").value, args },
      `Sent to ${room.room}`);
  });
}

function showBars(id, entries, none, kind = "") {
  const most = Math.max(1, ...entries.map(([, n]) => n));
  const bars = entries.map(([name, n, text]) => element("li", {},
    element("span", { class: kind, title: name }, name), element("meter", { max: most, value: n }), element("span", { class: "n" }, text ?? figures.number(n))));
  $(id).replaceChildren(...(bars.length ? bars : [element("li", { class: "none" }, none)]));
}

function showChart() {
  const points = history.series;
  const peak = Math.max(1, ...points.flatMap((p) => [p.in, p.out]));
  const svg = (tag, attributes) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    return e;
  };
  const end = points.at(-1)?.at ?? 0;
  const line = (kind) => svg("polyline", {
    class: kind, points: points.map((p) => `${(300 - (end - p.at) / 1000).toFixed(1)},${(86 - (p[kind] / peak) * 80).toFixed(1)}`).join(" "),
  });
  $("chart").replaceChildren(svg("line", { x1: 0, x2: 300, y1: 88, y2: 88 }), line("out"), line("in"));
  $("peak").textContent = points.length ? `peak ${figures.rate(peak)}` : "";
}

function showNamespaces() {
  const select = $("namespace");
  const names = ["", ...figures.namespaces(cluster.nodes)];
  if ([...select.options].map((o) => o.value).join("\n") === names.join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => element("option", { value: name }, name || "all")));
  select.value = names.includes(chosen) ? chosen : "";
}

// Sockets

function find(namespace, room) {
  $("namespace").value = namespace;
  $("room").value = room;
  pages = 1;
  showSockets().catch(lost);
  $("sockets").scrollIntoView({ block: "center", behavior: "smooth" });
}

$("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  find($("namespace").value, $("room").value.trim());
});

$("more").addEventListener("click", () => {
  pages++;
  showSockets().catch(lost);
});

const perPage = 50;
const shown = 1000; // that one answer holds at most

async function showSockets() {
  const query = new URLSearchParams({ namespace: $("namespace").value, room: $("room").value.trim(), limit: Math.min(pages * perPage, shown) });
  const list = await ask(`debug/sockets?${query}`);
  $("socketcount").textContent = `${figures.number(list.sockets.length)} of ${figures.number(list.total)}${list.partial ? ", a node is silent" : ""}`;
  $("more").hidden = !list.more || pages * perPage >= shown;
  $("sockets").replaceChildren(...list.sockets.map(socketRow));
  if (list.sockets.length === 0) $("sockets").append(element("tr", {}, element("td", { colSpan: 9, class: "quiet" }, "There is none.")));
}

function socketRow(socket) {
  const rooms = element("span", {}, ...socket.rooms.map((room) => element("span", { class: "chip" }, room)));
  if (socket.roomCount > socket.rooms.length) rooms.append(`and ${socket.roomCount - socket.rooms.length} more`);
  const disconnect = () => confirm("Disconnect this client?", `${socket.id} on ${nodeName(socket.node)} is told that the server ended it, and does not come back by itself.`,
    "Disconnect", { kind: "disconnect", node: socket.node, namespace: socket.namespace, socket: socket.id }, "Disconnected");
  return element("tr", { "data-socket": socket.id },
    cell(socket.id, "id"), cell(socket.namespace), cell(nodeName(socket.node)), cell(socket.transport), cell(rooms, "rooms"), cell(socket.address ?? "", "secret"),
    cell(socket.queuedBytes ? figures.bytes(socket.queuedBytes) : "–", "n"), cell(figures.duration(Date.now() - Date.parse(socket.since)), "n"),
    cell(element("button", { type: "button", onclick: disconnect }, "Disconnect"), "act"));
}

// The clock

async function look() {
  cluster = await ask("debug/nodes");
  history.take(cluster.nodes, Date.now());
  showTiles();
  showNodes();
  showRooms();
  showChart();
  showBars("closed", figures.counts(cluster.nodes, "disconnections"), "No socket was disconnected.");
  showBars("refused", figures.counts(cluster.nodes, "refused").slice(0, 6), "No request was refused.");
  showBars("queues", cluster.nodes.flatMap((n) => n.queues).sort((a, b) => b.bytes - a.bytes).slice(0, 6)
    .map((q) => [q.socket, q.bytes, figures.bytes(q.bytes)]), "Every client reads what it is sent.", "id");
  showNamespaces();
  await showSockets();
  document.body.dataset.state = "live";
  $("state").textContent = `live, ${cluster.nodes.length} answered in ${Math.max(1, Math.round(cluster.askedMillis))} ms`;
  document.title = `${cluster.nodes.length} nodes · roomcast`;
}

function lost(err) {
  document.body.dataset.state = "lost";
  $("state").textContent = err instanceof TypeError ? "this node does not answer" : err.message;
}

async function run() {
  if (token) await unlock(token).catch(() => {});
  for (;;) {
    await look().catch(lost);
    await new Promise((next) => setTimeout(next, document.hidden ? 5 * every : every));
  }
}

run();
