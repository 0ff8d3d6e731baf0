// Makes cluster.json: the messages of Node.js servers with the sharded and the streams
// adapter and of an emitter, byte for byte as they reach Redis, and what they mean. To
// make it again, in this folder:
//
//	npm install && npm run golden && rm -r node_modules package-lock.json
//
// It needs no Redis: the clients below only write down what is sent.
import { createRequire } from "node:module";
import { decode as unpackStreams } from "@msgpack/msgpack";
import { createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Emitter } from "@socket.io/redis-streams-emitter";
import { Server } from "socket.io";
import { Encoder } from "socket.io-parser";
import notepack from "notepack.io";

// Ids are random; these are not.
createRequire(import.meta.url)("node:crypto").randomBytes = (n) => Buffer.alloc(n, 1);

const uid = "00112233445566ff";
let sent = [];
const nothing = () => {};
const publish = (channel, payload) => {
  sent.push({ channel, payload: Buffer.from(payload) });
  return Promise.resolve(0);
};
const client = {
  on: nothing, off: nothing, ssubscribe: nothing, subscribe: nothing, options: {},
  duplicate: () => client, publish, spublish: publish, xread: () => new Promise(nothing),
  xadd: (args) => {
    const fields = args.slice(5);
    sent.push({ entry: Object.fromEntries(fields.flatMap((f, i) => (i % 2 ? [] : [[f, fields[i + 1]]]))) });
    return Promise.resolve("1-1");
  },
  send_command: (name, [, channel], done) => done(null, [channel, 3]),
};

function server(adapter) {
  const io = new Server();
  io.adapter(adapter);
  for (const name of ["/", "/admin"]) io.of(name).adapter.uid = uid;
  return io;
}

const settled = () => new Promise((done) => setImmediate(done));
const hex = (buffer) => Buffer.from(buffer).toString("hex");

// decode reads what was sent as its receivers do.
function decode({ payload, entry }, unpack) {
  if (payload) return payload[0] === 0x7b ? JSON.parse(payload) : unpack(payload);
  const data = entry.data.startsWith("{") ? JSON.parse(entry.data) : unpackStreams(Buffer.from(entry.data, "base64"));
  return { ...entry, type: Number(entry.type), data };
}

// encoded returns an array as JSON with placeholders, and its attachments.
function encoded(data) {
  const [text, ...attachments] = new Encoder().encode({ type: 2, nsp: "/", data });
  return { data: text.slice(text.indexOf("[")), attachments: attachments.map(hex) };
}

const broadcasts = {
  "to all": (io) => io.emit("hello", "world", 1, true, null),
  "to one room": (io) => io.to("room1").emit("hello"),
  "to an id": (io) => io.to("abcdefghijklmnopAAAB").emit("hello"),
  "to several rooms": (io) => io.to(["a", "b"]).except("c").except("d").emit("hello"),
  "to a numeric room": (io) => io.to(5).except(6.5).emit("hello"),
  "to a room with an odd name": (io) => io.to("a#b *?[é]\"\\\u0001").emit("hello"),
  "another namespace": (io) => io.of("/admin").to("room1").emit("hello"),
  volatile: (io) => io.volatile.emit("hello"),
  uncompressed: (io) => io.compress(false).emit("hello"),
  compressed: (io) => io.compress(true).emit("hello"),
  "volatile and uncompressed": (io) => io.volatile.compress(false).emit("hello"),
  strings: (io) => io.emit("s", "", "é", "日本", "🚀", "\u0000\n\"\\/\u2028", "x".repeat(31), "x".repeat(256)),
  containers: (io) => io.emit("c", [], {}, [[]], { a: { b: [1.5, { c: null }] } }, Array(16).fill(0)),
  binaries: (io) => io.to("room1").except("b").emit("b", Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0), Buffer.alloc(300, 7)] }),
  "binaries and odd values": (io) => io.volatile.emit("b", new Uint8Array([4, 5]), new Date(1577836800123), [undefined], 2 ** 40, -7),
};
const requests = {
  socketsJoin: (io) => io.socketsJoin("x"),
  "socketsJoin of rooms": (io) => io.in("a").except(["c", "d"]).socketsJoin(["x", "y"]),
  socketsLeave: (io) => io.of("/admin").in("a").socketsLeave("x"),
  disconnectSockets: (io) => io.disconnectSockets(),
  "disconnectSockets and close": (io) => io.in("a").except("b").disconnectSockets(true),
  serverSideEmit: (io) => io.serverSideEmit("hello", { deep: [1, "é\u0007\"\\", null, 0.5, true] }),
  "serverSideEmit with binaries": (io) => io.serverSideEmit("hello", Buffer.from([1, 2])),
};
const calls = {
  fetchSockets: (io) => io.fetchSockets(),
  "fetchSockets of rooms": (io) => io.timeout(700).in(["a", "b"]).except("c").fetchSockets(),
  "serverSideEmit with ack": (io) => io.of("/admin").serverSideEmit("hello", 1, nothing),
  "emit with ack": (io) => io.timeout(1000).emit("hello", "world", nothing),
  "emit with ack to rooms": (io) => io.of("/admin").volatile.compress(false).timeout(70000).to(["a", "b"]).except("c").emit("hello", nothing),
  "emit with ack and binaries": (io) => io.timeout(200).emit("hello", { deep: [Buffer.alloc(40, 7)] }, nothing),
};

const actions = { 3: "call", 4: "join", 5: "leave", 6: "disconnect", 7: "fetch", 9: "event" };

function meaning({ uid, nsp, type, data }) {
  const opts = data.opts ?? {};
  const flags = opts.flags ?? {};
  const event = type === 3 ? data.packet.data : data.packet;
  return {
    sender: uid, namespace: nsp, type, action: type === 3 && !data.requestId ? "" : actions[type], id: data.requestId ?? "",
    rooms: (opts.rooms ?? []).map(String), except: (opts.except ?? []).map(String), targets: data.rooms ?? [], close: data.close ?? false,
    timeout: flags.timeout ?? 0, volatile: flags.volatile ?? false, uncompressed: flags.compress === false,
    ...(event ? encoded(event) : {}),
  };
}

async function message(form, from, unpack, [name, make]) {
  sent = [];
  make(from);
  await settled();
  await settled();
  const [it] = sent;
  return { name, form, ...written(it), ...meaning(decode(it, unpack)) };
}

const written = ({ channel, payload, entry }) => (payload ? { channel, payload: hex(payload) } : { entry });

// socket is as much of a socket as the adapters look at.
function socket(id, rooms, rest) {
  const s = { id, rooms: new Set([id, ...rooms]), acks: new Map(), client: { writeToEngine: nothing }, ...rest };
  s.join = s.leave = s.disconnect = nothing;
  s.handshake = { headers: { host: "localhost:3000", "user-agent": "é\"" }, issued: 1795348800000, query: { EIO: "4" }, auth: { token: "t" }, ...rest.handshake };
  return s;
}

function populate(io) {
  const { adapter, sockets } = io.of("/");
  for (const s of [
    socket("id1", ["a", "b"], { data: { name: "alice", tags: [1, 2.5, null] } }),
    socket("id2", [], { data: {}, handshake: { sessionStore: { secret: 1 } } }),
    socket("id3", ["picture"], { data: { picture: Buffer.from([1, 2]) } }),
  ]) {
    sockets.set(s.id, s);
    adapter.addAll(s.id, s.rooms);
  }
  return io;
}

const asker = "ff00112233445566";
const ask = (io, type, data) => io.of("/").adapter.onMessage({ uid: asker, nsp: "/", type, data: { requestId: "r1", ...data } });
const call = (...args) => (io) => {
  const { acks } = io.of("/").sockets.get("id1");
  acks.clear(); // of the calls that were made above
  ask(io, 3, { packet: { type: 2, data: ["hello"] }, opts: { rooms: ["b"], except: [], flags: { timeout: 1000 } } });
  const [ack] = acks.values();
  ack(...args);
};
const event = (...args) => (io) => {
  io.of("/").once("hello", (done) => done(...args));
  ask(io, 9, { packet: ["hello"] });
};
const fetch = (...rooms) => (io) => ask(io, 7, { opts: { rooms, except: ["picture"], flags: {} } });

const responses = {
  fetchSockets: fetch(),
  "fetchSockets of nobody": fetch("none"),
  "fetchSockets with a binary": (io) => ask(io, 7, { opts: { rooms: ["picture"], except: [], flags: {} } }),
  "serverSideEmit: an answer": event({ ok: "é\u0001", n: [1.5, -1] }),
  "serverSideEmit: undefined": event(),
  "serverSideEmit: null": event(null),
  "serverSideEmit: a buffer": event(Buffer.from([1, 2])),
  "emit with ack: an answer": call({ ok: true, deep: [1, "x"] }),
  "emit with ack: undefined": call(),
  "emit with ack: a buffer": call({ bytes: Buffer.from([1, 2, 3]) }),
};

// plain is JSON in which a binary is what JSON.stringify makes of a Buffer, in either form.
const plain = (value) => JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? Buffer.from(v).toJSON() : v));

function answered({ uid, nsp, type, data }, asked) {
  const socket = (s) => ({ id: s.id, rooms: s.rooms, handshake: plain(s.handshake), data: plain(s.data) });
  const given = data.packet === undefined ? [] : [data.packet];
  return {
    sender: uid, namespace: nsp, type, id: data.requestId, to: `nodejs:${asked}:${asker}`,
    receivers: data.clientCount ?? data.sockets?.length ?? 0, done: type === 8 || type === 10,
    sockets: data.sockets?.map(socket) ?? [], ...(type === 10 || type === 12 ? encoded(given) : {}),
  };
}

async function answer(form, io, unpack, [name, make]) {
  sent = [];
  let asked;
  const { adapter } = io.of("/");
  const { onMessage } = adapter;
  adapter.onMessage = (m) => {
    asked = m.type;
    return onMessage.call(adapter, m);
  };
  make(io);
  await settled();
  delete adapter.onMessage;
  return sent.map((it, i) => ({
    name: asked === 3 && i === 0 ? name + " (count)" : name, form, ...written(it), ...answered(decode(it, unpack), asked),
  }));
}

const sharded = populate(server(createShardedAdapter(client, client)));
const streams = populate(server(createStreamsAdapter(client)));
await settled();
const emitter = new Emitter(client);
const golden = { messages: [], responses: [] };
const all = Object.entries({ ...broadcasts, ...requests });
for (const [form, io, unpack] of [["sharded", sharded, notepack.decode], ["streams", streams, unpackStreams]]) {
  for (const each of [...all, ...Object.entries(calls)]) golden.messages.push(await message(form, io, unpack, each));
  for (const each of Object.entries(responses)) golden.responses.push(...(await answer(form, io, unpack, each)));
}
for (const [name, make] of all) golden.messages.push(await message("emitter", emitter, unpackStreams, ["emitter: " + name, make]));
const lines = (list) => "[\n" + list.map((g) => JSON.stringify(g)).join(",\n") + "\n]";
process.stdout.write(`{"messages":${lines(golden.messages)},\n"responses":${lines(golden.responses)}}\n`);
process.exit(0); // timers of requests that nobody answers
