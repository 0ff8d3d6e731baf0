// Namespaces: what leads into them and what keeps clients out.

import assert from "node:assert/strict";
import { ask, connected, Inbox, refused } from "../stage.mjs";

export async function namespaces(stage) {
  const manager = stage.manager(0);
  const [main, chat] = [manager.socket("/"), manager.socket("/chat")];
  await Promise.all([connected(main), connected(chat)]);
  assert.notEqual(main.id, chat.id);
  const elsewhere = await stage.connect(1, { namespace: "/chat" });
  const [inMain, inChat] = [new Inbox(main), new Inbox(chat)];

  await ask(elsewhere, "broadcast", {}, "chat only", Buffer.from([1]));
  await ask(elsewhere, "broadcast", { to: [chat.id] }, "one");
  assert.deepEqual((await inChat.next()).slice(0, 1), ["chat only"]);
  assert.deepEqual(await inChat.next(), ["one"]);

  chat.disconnect();
  assert.equal(await ask(main, "echo", "still here"), "still here");
  main.emit("repeat", "last");
  assert.deepEqual(await inMain.next(), ["repeated", "last"], "nothing of the other namespace came");

  chat.connect();
  await connected(chat);
  assert.equal(await ask(chat, "echo", "back"), "back");
}

export async function dynamicNamespaces(stage) {
  const options = { namespace: "/world-7" };
  const sockets = await stage.everywhere(options);
  const neighbour = await stage.connect(0, { namespace: "/world-8" });
  await Promise.all(sockets.map((socket) => ask(socket, "join", ["here"]))); // returns when its node hears what others say
  const inboxes = sockets.map((socket) => new Inbox(socket));
  const next = new Inbox(neighbour);
  for (const [i, socket] of sockets.entries()) {
    await ask(socket, "broadcast", {}, "hello", i);
    for (const inbox of inboxes) assert.deepEqual(await inbox.next(), ["hello", i]);
  }
  await ask(neighbour, "broadcast", {}, "own");
  assert.deepEqual(await next.next(), ["own"], "namespaces of one pattern are apart");
  const err = await refused(stage.open(1, { namespace: "/world-x" }));
  assert.equal(err.message, "Invalid namespace");
}

export async function unknownNamespace(stage) {
  const manager = stage.manager(1);
  const main = manager.socket("/");
  await connected(main);
  const unknown = manager.socket("/unknown");
  const err = await refused(unknown);
  assert.equal(err.message, "Invalid namespace");
  assert.equal(unknown.connected, false);
  assert.equal(await ask(main, "echo", "unharmed"), "unharmed");
}

export async function middleware(stage) {
  const manager = stage.manager(2);
  const socket = manager.socket("/private", { auth: { token: "wrong" } });
  const err = await refused(socket);
  assert.equal(err.message, "not allowed");
  assert.deepEqual(err.data, { code: 403, given: "wrong" });
  assert.equal(socket.active, false, "a refused client does not try again by itself");

  socket.auth = { token: "broken" };
  socket.connect();
  assert.equal((await refused(socket)).message, "internal error", "other errors are not shown");

  socket.auth = { token: "right" };
  socket.connect();
  await connected(socket);
  assert.equal(await ask(socket, "echo", 1), 1);
}

export async function auth(stage) {
  const payload = { token: "τ", nested: { list: [1, null, "😀"] } };
  const socket = await stage.connect(0, { auth: payload });
  assert.deepEqual((await ask(socket, "whoami")).auth, payload);
  const later = await stage.connect(1, { auth: (answer) => setImmediate(answer, payload) });
  assert.deepEqual((await ask(later, "whoami")).auth, payload);
  const without = await stage.connect(2);
  assert.equal((await ask(without, "whoami")).auth, null);
}

// What a server emits while it connects a client is the first thing that the client hears.
export async function welcome(stage) {
  const socket = stage.open(0, { namespace: "/greeting" });
  const inbox = new Inbox(socket);
  await connected(socket);
  assert.deepEqual(await inbox.next(), ["welcome", socket.id]);
}
