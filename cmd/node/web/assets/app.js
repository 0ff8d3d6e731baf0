// The chat client: one socket to the node that served this page.

import { Presence } from "./presence.js";
import { View } from "./view.js";

const config = JSON.parse(document.getElementById("config").textContent);
const view = new View(config);
const presence = new Presence();

let room = decodeURIComponent(location.hash.slice(1)) || "lobby";
let name = sessionStorage.getItem("name") || inventName();
let here = config.node; // a load balancer may lead the socket to another node than the page

function inventName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  return `${pick(["Amber", "Brisk", "Clever", "Dapper", "Eager", "Gentle", "Lucky", "Mellow", "Nimble", "Quiet", "Sunny", "Witty"])} ${pick(
    ["Badger", "Crane", "Dolphin", "Falcon", "Gecko", "Heron", "Lynx", "Otter", "Panda", "Raven", "Tapir", "Wombat"])}`;
}

function start() {
  const socket = io({ path: config.path });
  const show = () => view.cluster(presence, socket.id);

  async function join() {
    const reply = await socket.emitWithAck("join", { room, name }).catch(() => null);
    if (!reply) return; // the connection has gone; the next one joins again
    if (reply.error) return view.notice(reply.error.message);
    sessionStorage.setItem("name", name);
    here = reply.node;
    presence.hear(reply);
    connected(socket.io.engine.transport);
    show();
  }

  function connected(transport) {
    view.here = here;
    view.state("connected", here, transport.name);
  }

  socket.on("connect", () => {
    presence.reset(); // others tell us anew; what we knew may be gone
    connected(socket.io.engine.transport);
    socket.io.engine.once("upgrade", connected);
    join();
  });
  socket.on("disconnect", () => view.state("lost", "reconnecting…"));
  socket.on("connect_error", (err) => {
    // The client tries again by itself when the network failed, not when the server said no.
    if (socket.active) view.state("lost", "reconnecting…");
    else view.state("broken", err.message);
  });

  socket.on("members", (roster) => {
    if (roster.room !== room) return;
    const newcomer = roster.joined;
    presence.hear(roster);
    if (newcomer && newcomer.id !== socket.id) {
      view.notice(`${newcomer.name} joined on ${roster.node}`);
      if (roster.node !== here && presence.answersFor(here, socket.id)) socket.emit("greet", newcomer.id);
    }
    if (roster.left) view.notice(`${roster.left.name} left ${roster.node}`);
    show();
  });
  socket.on("message", (m) => m.room === room && view.message(m, m.from.id === socket.id));

  setInterval(() => {
    const gone = presence.forgetSilent(here);
    for (const node of gone) view.notice(`${node} has gone silent`);
    if (gone.length > 0) show();
  }, 2_000);

  listen(socket, join, show);
  show();
}

// listen connects the page's three fields with the socket.
function listen(socket, join, show) {
  const fields = { room: document.getElementById("room"), name: document.getElementById("name"), text: document.getElementById("text") };

  function moveTo(other) {
    if (!other || other === room) return (view.room = room);
    room = other;
    location.hash = encodeURIComponent(room);
    view.room = room;
    view.clear();
    presence.reset();
    show();
    if (socket.connected) join();
  }
  fields.room.addEventListener("change", () => moveTo(fields.room.value.trim()));
  addEventListener("hashchange", () => moveTo(decodeURIComponent(location.hash.slice(1))));

  fields.name.addEventListener("change", () => {
    name = fields.name.value.trim() || name;
    fields.name.value = name;
    if (socket.connected) join();
  });

  document.getElementById("composer").addEventListener("submit", async (e) => {
    e.preventDefault();
    const text = fields.text.value.trim();
    if (!text || !socket.connected) return;
    fields.text.value = "";
    try {
      const reply = await socket.emitWithAck("message", { text });
      if (reply?.error) view.notice(reply.error.message);
    } catch {
      // The connection went before the answer came. If it was heard, it will be shown.
      fields.text.value ||= text;
    }
  });
}

document.getElementById("name").value = name;
view.room = room;
view.state("connecting", "connecting…");
if (globalThis.io) start();
else view.state("broken", "the Socket.IO client did not load");
