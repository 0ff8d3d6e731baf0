// A crowd of clients behind a load balancer, in the rooms of the node's chat.
//
//   node crowd.mjs URL COUNT TRANSPORTS
//
// TRANSPORTS is a list with commas, or "default" for what the client does by itself. When all are connected, and
// upgraded if they are to be, one line says the tally. Then each line of the standard input is a command, answered
// with a line:
//
//   talk     in each room one client says something that all of the room hear
//   gather   waits until all are connected again, upgraded and in their rooms; says the tally since the last one
//
// A tally is {connected, upgraded, nodes, failures, unknown, returns}: failures counts by what the client said, unknown
// those that were told "Session ID unknown", returns how often a client that had been connected came back.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [, , url, count, transports] = process.argv;
const perRoom = 10;
const atOnce = 50; // a burst of a thousand would measure the machine
const patience = 60_000;

let tally;
const clear = () => { tally = { failures: {}, unknown: 0, returns: 0 }; };
clear();

function failed(what, err) {
  const answer = String(err?.context?.responseText ?? "");
  if (answer.includes("Session ID unknown")) tally.unknown++;
  const name = [what, err?.message, err?.description?.message ?? err?.description, answer.slice(0, 80)].filter(Boolean).join(": ");
  tally.failures[name] = (tally.failures[name] ?? 0) + 1;
}

class Client {
  seated = false; // connected, upgraded and in its room
  node = "";
  heard = new Set();
  #before = false;
  #settled; // of the present session: that it has upgraded, or will not

  constructor(number) {
    this.number = number;
    this.room = `room ${Math.floor(number / perRoom)}`;
    this.socket = io(url, { forceNew: true, ...(transports === "default" ? {} : { transports: transports.split(",") }) });
    this.socket.io.on("open", () => this.#watch()); // before the upgrade begins, which may end before "connect"
    this.socket.on("connect", () => this.#sit());
    this.socket.on("connect_error", (err) => failed("connect", err));
    this.socket.on("disconnect", (reason, details) => {
      this.seated = false;
      failed(`disconnect: ${reason}`, details);
    });
    this.socket.on("message", (m) => this.heard.add(m.text));
  }

  async #sit() {
    if (this.#before) tally.returns++;
    this.#before = true;
    try {
      await this.#upgraded();
      const reply = await this.socket.timeout(patience).emitWithAck("join", { room: this.room, name: `client ${this.number}` });
      this.node = reply.node;
      this.seated = this.socket.connected;
    } catch (err) {
      if (this.socket.connected) failed("join", err);
    }
  }

  #watch() {
    const engine = this.socket.io.engine;
    this.#settled = new Promise((resolve) => {
      engine.once("upgrade", resolve);
      engine.once("close", resolve);
      engine.once("upgradeError", (err) => {
        failed("upgrade", err);
        resolve();
      });
    });
  }

  // upgraded waits until the transport is WebSocket, if it is to be.
  #upgraded() {
    if (transports === "polling" || this.transport === "websocket") return undefined;
    return this.#settled;
  }

  get transport() {
    return this.socket.io.engine?.transport.name;
  }
}

const clients = [];

async function until(what, condition) {
  for (const start = Date.now(); !condition(); await new Promise((done) => setTimeout(done, 20))) {
    if (Date.now() - start > patience) throw new Error(`waited ${patience} ms for ${what()}`);
  }
}

const missing = () => clients.filter((c) => !c.seated);

async function connect() {
  while (clients.length < Number(count)) {
    await until(() => "room for more clients", () => missing().length < atOnce);
    clients.push(new Client(clients.length));
  }
  return gather();
}

async function gather() {
  await until(() => `${missing().length} clients that stay out: ${JSON.stringify(tally)}`, () => missing().length === 0);
  const nodes = {};
  for (const c of clients) nodes[c.node] = (nodes[c.node] ?? 0) + 1;
  const result = { connected: clients.length, upgraded: clients.filter((c) => c.transport === "websocket").length, nodes, ...tally };
  clear();
  return result;
}

let round = 0;

async function talk() {
  round++;
  const said = (c) => `round ${round} in ${c.room}`;
  const speakers = clients.filter((c) => c.number % perRoom === round % perRoom);
  for (const c of speakers) c.socket.emit("message", { text: said(c) });
  const deaf = () => clients.filter((c) => !c.heard.has(said(c)));
  await until(() => `${deaf().length} clients that hear nothing`, () => deaf().length === 0);
  return { heard: clients.length };
}

const commands = { talk, gather };

async function answer(promise) {
  try {
    console.log(JSON.stringify(await promise));
  } catch (err) {
    console.log(JSON.stringify({ error: String(err?.message ?? err) }));
  }
}

await answer(connect());
for await (const line of createInterface({ input: process.stdin })) await answer(commands[line]());
process.exit(0);
