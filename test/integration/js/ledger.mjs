// Clients behind a load balancer that keep a ledger of the numbered events "entry" which all of them are sent.
//
//   node ledger.mjs URL COUNT
//
// When all are connected and upgraded one line says so. Then each line of the standard input is a command, answered
// with a line:
//
//   until N    waits until all are connected and have entry N, and says {complete, missed, repeated, recovered, afresh,
//              examples}: how many clients have all entries in order, what is wrong with the others, with a few examples,
//              and how often clients that came back had recovered their session or had not

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [, , url, count] = process.argv;
const atOnce = 50; // a burst of all would measure the machine
const patience = 60_000;

const tally = { recovered: 0, afresh: 0 };

class Client {
  last = 0; // the highest number
  missed = [];
  repeated = [];
  #before = false;

  constructor() {
    this.socket = io(url, { forceNew: true });
    this.socket.on("connect", () => {
      if (this.#before) tally[this.socket.recovered ? "recovered" : "afresh"]++;
      this.#before = true;
    });
    this.socket.on("entry", (n) => {
      for (let i = this.last + 1; i < n; i++) this.missed.push(i);
      if (n <= this.last) this.repeated.push(n); // or out of order, in which case it was missed before
      this.last = Math.max(this.last, n);
    });
  }

  get settled() {
    return this.socket.connected && this.socket.io.engine.transport.name === "websocket";
  }
}

const clients = [];

async function until(what, condition) {
  for (const start = Date.now(); !condition(); await new Promise((done) => setTimeout(done, 20))) {
    if (Date.now() - start > patience) throw new Error(`waited ${patience} ms for ${what()}`);
  }
}

const unsettled = () => clients.filter((c) => !c.settled).length;

async function connect() {
  while (clients.length < Number(count)) {
    await until(() => "room for more clients", () => unsettled() < atOnce);
    clients.push(new Client());
  }
  await until(() => `${unsettled()} clients to connect`, () => unsettled() === 0);
  return { connected: clients.length };
}

async function complete(n) {
  const behind = () => clients.filter((c) => !c.socket.connected || c.last < n);
  await until(() => `${behind().length} clients, one of which has ${behind()[0]?.last} of ${n}`, () => behind().length === 0);
  const wrong = clients.filter((c) => c.missed.length > 0 || c.repeated.length > 0);
  const sum = (list) => clients.reduce((total, c) => total + c[list].length, 0);
  const result = {
    complete: clients.length - wrong.length, missed: sum("missed"), repeated: sum("repeated"), ...tally,
    examples: wrong.slice(0, 3).map((c) => ({ missed: c.missed.slice(0, 10), repeated: c.repeated.slice(0, 10) })),
  };
  tally.recovered = tally.afresh = 0;
  return result;
}

async function answer(promise) {
  try {
    console.log(JSON.stringify(await promise));
  } catch (err) {
    console.log(JSON.stringify({ error: String(err?.message ?? err) }));
  }
}

await answer(connect());
for await (const line of createInterface({ input: process.stdin })) await answer(complete(Number(line.split(" ")[1])));
process.exit(0);
