// What every story needs: clients that are pinned to a node, and waits with a deadline.

import { io, Manager } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";

// A wait that lasts longer has failed. It is generous: the machine may be busy with other things.
const patience = 20_000;

const ways = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

const parsers = { msgpack };

export class Stage {
  #leave = [];

  // nodes are the base URLs of the cluster's nodes, transport is a key of ways, parser one of parsers or absent, askers the
  // nodes of which a story asks what not all can do.
  constructor({ nodes = [], transport = "websocket", askers = [...nodes.keys()], ...rest }) {
    Object.assign(this, rest, { nodes, transport, askers });
  }

  // options of a client that stays with its node and its transport.
  #options(more) {
    const parser = this.parser ? { parser: parsers[this.parser] } : {};
    return { transports: ways[this.transport], reconnection: false, ...parser, ...more };
  }

  // url is where a node is, given by any number: beyond the last node the numbers begin anew.
  url(node) {
    return this.nodes[node % this.nodes.length];
  }

  // open begins to connect a client to a node.
  open(node, { namespace = "/", ...more } = {}) {
    const socket = io(this.url(node) + namespace, this.#options({ forceNew: true, ...more }));
    this.#leave.push(() => socket.disconnect());
    return socket;
  }

  // connect is open, and waits until the client is connected.
  async connect(node, options) {
    const socket = this.open(node, options);
    await connected(socket);
    return socket;
  }

  // manager is one connection for several namespaces.
  manager(node, more) {
    const manager = new Manager(this.url(node), this.#options(more));
    this.#leave.push(() => manager._close());
    return manager;
  }

  // everywhere connects a client to each node, and at least two clients.
  everywhere(options) {
    const count = Math.max(this.nodes.length, 2);
    return Promise.all(Array.from({ length: count }, (_, node) => this.connect(node, options)));
  }

  // onLeave has f called when the story is over.
  onLeave(f) {
    this.#leave.push(f);
  }

  clear() {
    for (const leave of this.#leave.splice(0)) leave();
  }
}

// within waits for a promise and says what was missing when it takes too long.
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patience} ms for ${what}`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// eventually repeats a check until it throws nothing: for what a cluster may do a moment after it was told to.
export async function eventually(check) {
  for (const start = Date.now(); ; await new Promise((resolve) => setTimeout(resolve, 10))) {
    try {
      return await check();
    } catch (err) {
      if (Date.now() - start > patience) throw err;
    }
  }
}

// next waits for an emitter's next event of that name and returns its arguments.
export function next(emitter, event) {
  return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `the event ${event}`);
}

// connected waits for a client's connection to its namespace.
export function connected(socket) {
  if (socket.connected) return undefined;
  return within(new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  }), "the connection");
}

// refused waits for a client to be refused and returns the error.
export async function refused(socket) {
  const [err] = await next(socket, "connect_error");
  return err;
}

// ask emits an event and returns its acknowledgement.
export async function ask(socket, event, ...args) {
  const answer = await within(socket.emitWithAck(event, ...args), `the acknowledgement of ${event}`);
  if (answer?.error) throw new Error(`${event} was refused: ${answer.error.message}`);
  return answer;
}

// askAll is ask for an acknowledgement of several arguments.
export function askAll(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))),
    `the acknowledgement of ${event}`);
}

// Inbox keeps a client's events in the order of their arrival.
export class Inbox {
  #events = [];
  #arrived = () => {};

  constructor(socket) {
    socket.onAny((...event) => {
      this.#events.push(event);
      this.#arrived();
    });
  }

  // next returns the next event: its name and its arguments.
  async next(what = "an event") {
    while (this.#events.length === 0) {
      await within(new Promise((resolve) => { this.#arrived = resolve; }), what);
    }
    return this.#events.shift();
  }

  // before returns all events up to the next one that is called name, without that.
  async before(name) {
    const events = [];
    for (;;) {
      const event = await this.next(`the event ${name}`);
      if (event[0] === name) return events;
      events.push(event);
    }
  }
}
