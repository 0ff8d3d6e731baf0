// Clients that come back: they are who they were, and hear what they missed.

import assert from "node:assert/strict";
import { decode } from "@msgpack/msgpack";
import { createClient } from "redis";
import { ask, connected, eventually, Inbox, next, refused } from "../stage.mjs";
import { upgraded, watcher } from "./lives.mjs";

// Each event of a server with recovery ends with its offset, a text.
function withoutOffset(event) {
  assert.equal(typeof event.at(-1), "string", `${JSON.stringify(event)} ends with an offset`);
  return event.slice(0, -1);
}

// drop ends a client's connection as a fault of the network does, and waits until its server has noticed.
async function drop(socket, left) {
  const { id } = socket;
  const gone = next(socket, "disconnect");
  socket.io.engine.close();
  await gone;
  assert.match(await left(id), /^transport (close|error)$/);
}

// comeBack connects a client again: to the next node, if there are several.
async function comeBack(stage, socket, node) {
  socket.io.uri = stage.url(node);
  socket.connect();
  await connected(socket);
}

export async function recovery(stage) {
  const left = await watcher(stage, 1);
  const [socket, other] = [await stage.connect(0), await stage.connect(1)];
  const inbox = new Inbox(socket);
  const { id } = socket;
  const [a, b, c] = ["a", "b", "c"].map((room) => `${room} of ${id}`); // a client of an earlier story may still be in its own
  assert.equal(socket.recovered, false);
  await ask(socket, "join", [a, b]);
  await ask(socket, "set data", { name: "Zoë", list: [1, null] });
  await ask(other, "broadcast", { to: [a] }, "before", 1);
  assert.deepEqual(withoutOffset(await inbox.next()), ["before", 1]);

  for (const node of [1, 0, 0]) {
    await drop(socket, left);
    const part = Buffer.from([0, 255]);
    const missed = [["to one room", 1], ["to both", { part }], ["to the client"], ["to all", "😀"]];
    await ask(other, "broadcast", { to: [a] }, ...missed[0]);
    await ask(other, "broadcast", { to: [c] }, "to others");
    await ask(other, "broadcast", { to: [a, b] }, ...missed[1]);
    await ask(other, "broadcast", { except: [b] }, "not to b");
    await ask(other, "broadcast", { to: [id] }, ...missed[2]);
    await ask(other, "broadcast", {}, ...missed[3]);
    await comeBack(stage, socket, node);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    await ask(other, "broadcast", { to: [b] }, "marker");
    for (const event of [...missed, ["marker"]]) assert.deepEqual(withoutOffset(await inbox.next()), event);
    assert.deepEqual(await ask(socket, "get data"), { name: "Zoë", list: [1, null] });
    const [found, ...more] = await ask(other, "fetch sockets", { to: [a] });
    assert.deepEqual([found.id, found.rooms, more], [id, [a, b, id].sort(), []]);
  }
}

// A volatile event that was missed stays so.
export async function volatileMissed(stage) {
  const left = await watcher(stage, 1);
  const [socket, other] = [await stage.connect(0), await stage.connect(1)];
  const inbox = new Inbox(socket);
  await ask(other, "broadcast", {}, "before");
  assert.deepEqual(withoutOffset(await inbox.next()), ["before"]);
  await drop(socket, left);
  await ask(other, "broadcast", { volatile: true }, "fleeting");
  await ask(other, "broadcast", {}, "lasting");
  await comeBack(stage, socket, 1);
  assert.equal(socket.recovered, true);
  assert.deepEqual(withoutOffset(await inbox.next()), ["lasting"]);
}

// follow connects clients to nodes. Each notes what it hears of the flow, as it comes: who speaks, and a number.
function follow(stage, nodes) {
  return Promise.all(nodes.map(async (node) => {
    const socket = await stage.connect(node);
    await ask(socket, "join", ["flow"]);
    const heard = [];
    socket.on("flow", (speaker, n) => heard.push([speaker, n]));
    return { socket, heard };
  }));
}

// flow has clients speak to the followers all the time, until it is told to stop, and checks that these hear each number once,
// in order, from the first that they hear to the last that was said.
async function flow(speakers, followers) {
  let over = false;
  const counts = Promise.all(speakers.map(async (speaker, s) => {
    let n = 0;
    for (; !over; n++) {
      await ask(speaker, "broadcast", { to: ["flow"] }, "flow", s, n);
      await new Promise((resolve) => setTimeout(resolve, 3)); // the followers are to keep up on a busy machine, too
    }
    return n;
  }));
  await eventually(() => assert.ok(followers.every(({ heard }) => heard.length > 0), "each client has an offset"));
  return async () => {
    over = true;
    for (const [s, count] of (await counts).entries()) {
      await Promise.all(followers.map(async ({ socket, heard }, i) => {
        const last = next(socket, "last");
        await ask(speakers[s], "broadcast", { to: [socket.id] }, "last");
        await last; // behind all that this speaker has said
        const numbers = heard.filter(([speaker]) => speaker === s).map(([, n]) => n);
        const first = numbers[0];
        assert.deepEqual(numbers, Array.from({ length: count - first }, (_, n) => first + n), `client ${i}, speaker ${s}`);
      }));
    }
  };
}

// Events come all the time while clients go and come back, with a WebSocket or in every phase of an upgrade to one: each
// comes once, in order. All nodes speak; the clients are on those that the scene names.
export async function recoveryInFlow(stage) {
  const speakers = await stage.everywhere();
  const left = await watcher(stage, 0);
  const home = (i) => stage.askers[i % stage.askers.length];
  const clients = await follow(stage, Array.from({ length: 5 }, (_, i) => home(i)));
  const stop = await flow(speakers, clients);
  for (let round = 0; round < 5; round++) {
    for (const [i, { socket }] of clients.entries()) {
      await drop(socket, left);
      if (round % 2) await new Promise((resolve) => setTimeout(resolve, 10));
      await comeBack(stage, socket, home(round + i));
      assert.equal(socket.recovered, true, `round ${round}, client ${i}`);
      if (round === 4 && stage.transport === "upgrade") await upgraded(socket);
    }
  }
  await stop();
}

// openRecords returns a function that waits until Redis has a client's rooms and data: what was changed a moment before need not
// be there, and is lost with the node.
async function openRecords(stage) {
  const redis = createClient({ url: stage.redis });
  await redis.connect();
  stage.onLeave(() => redis.destroy());
  return ({ id, _pid }, rooms, data) => eventually(async () => {
    const record = decode(Buffer.from(await redis.get(`sio:session:${_pid}`) ?? "", "base64"));
    assert.deepEqual([record.sid, record.rooms.sort(), record.data], [id, [...rooms, id].sort(), data]);
  });
}

// killed ends the node of a client as kill -9 does, and waits until the client knows.
async function killed(socket) {
  const gone = next(socket, "disconnect");
  socket.emit("be killed");
  await gone;
}

// All nodes but those that the scene names are killed, one after the other, while the named ones speak. Their clients come back
// to what is left, as who they were, and to all that they have missed; those of the others notice nothing.
export async function recoveryAfterKills(stage) {
  const speakers = await Promise.all(stage.askers.map((node) => stage.connect(node)));
  const kept = await openRecords(stage);
  const victims = [...stage.nodes.keys()].filter((node) => !stage.askers.includes(node));
  const [home] = stage.askers;
  const clients = await follow(stage, [victims[0], victims[0], victims[0], victims.at(-1), home]);
  const ids = clients.map(({ socket }) => socket.id);
  for (const [i, { socket }] of clients.entries()) {
    await ask(socket, "join", [`room of ${i}`]);
    await ask(socket, "set data", { number: i });
  }
  const stop = await flow(speakers, clients);
  let at = clients.map((_, i) => i < 3 ? victims[0] : i === 3 ? victims.at(-1) : home);
  for (const [v, victim] of victims.entries()) {
    const lost = [...clients.keys()].filter((i) => at[i] === victim);
    await Promise.all(lost.map((i) => kept(clients[i].socket, ["flow", `room of ${i}`], { number: i })));
    const gone = lost.slice(1).map((i) => next(clients[i].socket, "disconnect"));
    await killed(clients[lost[0]].socket);
    await Promise.all(gone);
    at = at.map((node) => node === victim ? victims[v + 1] ?? home : node);
    await Promise.all(lost.map((i) => comeBack(stage, clients[i].socket, at[i])));
    for (const i of lost) {
      const { socket } = clients[i];
      assert.deepEqual([socket.recovered, socket.id], [true, ids[i]], `client ${i} after kill ${v}`);
      assert.deepEqual(await ask(socket, "get data"), { number: i });
      const [{ rooms }] = await ask(socket, "fetch sockets", { to: [ids[i]], local: true });
      assert.deepEqual(rooms, ["flow", `room of ${i}`, ids[i]].sort());
    }
  }
  await stop();
}

// A node is killed, and its client comes back to the next one, of another kind perhaps.
export async function recoveryAfterKill(stage) {
  const [socket, other] = [await stage.connect(0), await stage.connect(2)];
  const inbox = new Inbox(socket);
  const kept = await openRecords(stage);
  const { id } = socket;
  await ask(socket, "join", ["a"]);
  await ask(socket, "set data", { name: "Zoë" });
  await ask(other, "broadcast", { to: ["a"] }, "before");
  assert.deepEqual(withoutOffset(await inbox.next()), ["before"]);
  await kept(socket, ["a"], { name: "Zoë" });
  await killed(socket);
  const missed = [["to the room", 1], ["to the client", { part: Buffer.from([0, 255]) }], ["to all", "😀"]];
  await ask(other, "broadcast", { to: ["a"] }, ...missed[0]);
  await ask(other, "broadcast", { to: ["b"] }, "to others");
  await ask(other, "broadcast", { to: [id] }, ...missed[1]);
  await ask(other, "broadcast", {}, ...missed[2]);
  await comeBack(stage, socket, 1);
  assert.deepEqual([socket.recovered, socket.id], [true, id]);
  await ask(other, "broadcast", { to: ["a"] }, "marker");
  for (const event of [...missed, ["marker"]]) assert.deepEqual(withoutOffset(await inbox.next()), event);
  assert.deepEqual(await ask(socket, "get data"), { name: "Zoë" });
}

// Whoever names a session or an offset that is not there is a new client.
export async function unknownSession(stage) {
  const left = await watcher(stage, 1);
  const [socket, other, witness] = [await stage.connect(0), await stage.connect(1), await stage.connect(0)];
  const [inbox, seen] = [new Inbox(socket), new Inbox(witness)];
  for (const forge of [() => { socket._pid = "forged"; }, () => { socket._lastOffset = "forged"; }]) {
    const { id } = socket;
    await ask(socket, "join", ["a"]);
    await ask(other, "broadcast", { to: ["a"] }, "before");
    assert.deepEqual(withoutOffset(await inbox.next()), ["before"]);
    await drop(socket, left);
    await ask(other, "broadcast", {}, "missed");
    await seen.before("missed"); // it cannot come to a client that connects now
    forge();
    await comeBack(stage, socket, 0);
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
    await ask(other, "broadcast", { to: ["a"] }, "to its former room");
    await ask(other, "broadcast", {}, "marker");
    assert.deepEqual(withoutOffset(await inbox.next()), ["marker"]);
  }
}

// leave has a client that was admitted go away, and take a token that is not.
async function leave(stage, node) {
  const left = await watcher(stage, node, { namespace: "/private", auth: { token: "right" } });
  const socket = await stage.connect(node, { namespace: "/private", auth: { token: "right" } });
  const inbox = new Inbox(socket);
  socket.emit("repeat", "before");
  assert.deepEqual(withoutOffset(await inbox.next()), ["repeated", "before"]);
  await drop(socket, left);
  socket.auth = { token: "wrong" };
  return socket;
}

export async function recoveryPastMiddlewares(stage) {
  const socket = await leave(stage, 0);
  await comeBack(stage, socket, 1);
  assert.equal(socket.recovered, true);
}

// A middleware may refuse a client that comes back; refused, it is still known: by the nodes that the scene names.
export async function recoveryThroughMiddlewares(stage) {
  const socket = await leave(stage, stage.askers[0]);
  socket.connect();
  assert.equal((await refused(socket)).message, "not allowed");
  socket.auth = { token: "right" };
  await comeBack(stage, socket, stage.askers.at(-1));
  assert.equal(socket.recovered, true);
}
