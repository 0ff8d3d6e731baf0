// Makes requests.json: the requests of a Node.js server and of an emitter, and the
// responses of a Node.js server, byte for byte as they reach Redis, and what they
// mean. See make-golden.mjs.
import { createRequire } from "node:module";
import { createAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { Server } from "socket.io";
import { Encoder } from "socket.io-parser";
import notepack from "notepack.io";

// Request ids are random; these are not.
createRequire(import.meta.url)("node:crypto").randomBytes = (n) => Buffer.alloc(n, 1);

const uid = "node01";
let published = [];
const nothing = () => {};
const publisher = {
  on: nothing, off: nothing,
  publish: (channel, payload) => published.push({ channel, payload: Buffer.from(payload) }),
  send_command: (name, [, channel], done) => done(null, [channel, 3]),
};
const subscriber = { on: nothing, off: nothing, psubscribe: nothing, subscribe: nothing };

function server(options) {
  const io = new Server();
  io.adapter(createAdapter(publisher, subscriber, options));
  for (const name of ["/", "/admin"]) io.of(name).adapter.uid = uid;
  return io;
}

const settled = () => new Promise((done) => setImmediate(done));
const hex = (buffer) => Buffer.from(buffer).toString("hex");
const decode = (payload) => (payload[0] === 0x7b ? JSON.parse(payload) : notepack.decode(payload));

// encoded returns an array as JSON with placeholders, and its attachments.
function encoded(data) {
  const [text, ...attachments] = new Encoder().encode({ type: 2, nsp: "/", data });
  return { data: text.slice(text.indexOf("[")), attachments: attachments.map(hex) };
}

const io = server();
const emitter = new Emitter(publisher);
const requests = {
  fetchSockets: () => io.fetchSockets(),
  "fetchSockets of rooms": () => io.in(["a", "b"]).except("c").fetchSockets(),
  "fetchSockets of a namespace": () => io.of("/admin").in("a#b é").fetchSockets(),
  allRooms: () => io.of("/").adapter.allRooms(),
  socketsJoin: () => io.socketsJoin("x"),
  "socketsJoin of rooms": () => io.in("a").except(["c", "d"]).socketsJoin(["x", "y"]),
  socketsLeave: () => io.in("a").socketsLeave("x"),
  disconnectSockets: () => io.disconnectSockets(),
  "disconnectSockets and close": () => io.in("a").except("b").disconnectSockets(true),
  serverSideEmit: () => io.serverSideEmit("hello", { deep: [1, "é\u2028\u0007\"\\", null, 0.5, true] }),
  "serverSideEmit with ack": () => io.of("/admin").serverSideEmit("hello", 1, nothing),
  "emit with ack": () => io.timeout(1000).emit("hello", "world", nothing),
  "emit with ack to rooms": () => io.of("/admin").volatile.compress(false).timeout(70000).to(["a", "b"]).except("c").emit("hello", nothing),
  "emit with ack and binaries": () => io.timeout(200).emit("hello", Buffer.from([1, 2]), { deep: [Buffer.alloc(40, 7)] }, nothing),
  "emitter: socketsJoin": () => emitter.in("a").except("b").socketsJoin(["x", "y"]),
  "emitter: socketsLeave": () => emitter.of("/admin").socketsLeave("x"),
  "emitter: disconnectSockets": () => emitter.in(["a", "b"]).disconnectSockets(),
  "emitter: disconnectSockets and close": () => emitter.disconnectSockets(true),
  "emitter: serverSideEmit": () => emitter.serverSideEmit("hello", { a: "b" }, 3),
};

const actions = { 1: "rooms", 2: "join", 3: "leave", 4: "disconnect", 5: "fetch", 6: "event", 7: "call" };

function meaning(r) {
  const flags = r.opts?.flags ?? {};
  const data = r.data ?? r.packet?.data;
  return {
    id: r.requestId ?? "", action: actions[r.type], rooms: r.opts?.rooms ?? [], except: r.opts?.except ?? [],
    targets: r.rooms ?? [], close: r.close ?? false, timeout: flags.timeout ?? 0,
    volatile: flags.volatile ?? false, uncompressed: flags.compress === false, ...(data ? encoded(data) : {}),
  };
}

async function request([name, make]) {
  published = [];
  make();
  await settled();
  const [{ channel, payload }] = published;
  const r = decode(payload);
  const sender = name.startsWith("emitter") ? "emitter" : r.uid;
  return { name, channel, payload: hex(payload), sender, type: r.type, ...meaning(r) };
}

// socket is as much of a socket as the adapter looks at.
function socket(id, rooms, rest) {
  const s = { id, rooms: new Set([id, ...rooms]), acks: new Map(), client: { writeToEngine: nothing }, ...rest };
  s.join = s.leave = s.disconnect = nothing;
  s.handshake = {
    headers: { host: "localhost:3000", "user-agent": "é\"" }, time: "Sun Nov 22 2026 12:00:00 GMT+0000", address: "127.0.0.1",
    xdomain: false, secure: false, issued: 1795348800000, url: "/socket.io/?EIO=4", query: { EIO: "4" }, auth: { token: "t" },
    ...rest.handshake,
  };
  return s;
}

function populate(io) {
  const { adapter, sockets } = io.of("/");
  for (const s of [
    socket("id1", ["a", "b"], { data: { name: "alice", tags: [1, 2.5, null] } }),
    socket("id2", [], { data: {}, handshake: { sessionStore: { secret: 1 } } }),
  ]) {
    sockets.set(s.id, s);
    adapter.addAll(s.id, s.rooms);
  }
  return io;
}

const common = populate(server());
const specific = populate(server({ publishOnSpecificResponseChannel: true }));
const all = { rooms: [], except: [] };
const ask = (io, request) =>
  io.of("/").adapter.onrequest("socket.io-request#/#", notepack.encode({ uid: "peer01", requestId: "r1", ...request }));
const call = (...args) => async (io) => {
  await ask(io, { type: 7, packet: { type: 2, data: ["hello"], nsp: "/" }, opts: { rooms: ["b"], except: [], flags: { timeout: 1000 } } });
  const [ack] = io.of("/").sockets.get("id1").acks.values();
  io.of("/").sockets.get("id1").acks.clear();
  ack(...args);
};
const event = (...args) => async (io) => {
  io.of("/").once("hello", (done) => done(...args));
  await ask(io, { type: 6, data: ["hello"] });
};

const responses = {
  sockets: (io) => ask(io, { type: 0, rooms: ["a"] }),
  "no sockets": (io) => ask(io, { type: 0, rooms: ["none"] }),
  allRooms: (io) => ask(io, { type: 1 }),
  fetchSockets: (io) => ask(io, { type: 5, opts: all }),
  "fetchSockets of nobody": (io) => ask(io, { type: 5, opts: { rooms: ["none"], except: [] } }),
  "remoteJoin of older versions": (io) => ask(io, { type: 2, sid: "id1", room: "x" }),
  "remoteLeave of older versions": (io) => ask(io, { type: 3, sid: "id1", room: "x" }),
  "remoteDisconnect of older versions": (io) => ask(io, { type: 4, sid: "id1", close: true }),
  "serverSideEmit: an answer": event({ ok: "é\u0001", n: [1.5, -1] }),
  "serverSideEmit: undefined": event(),
  "serverSideEmit: null": event(null),
  "serverSideEmit: a buffer": event(Buffer.from([1, 2])),
  "emit with ack: an answer": call({ ok: true, deep: [1, "x"] }),
  "emit with ack: several arguments": call(1, 2),
  "emit with ack: undefined": call(),
  "emit with ack: a buffer": call({ bytes: Buffer.from([1, 2, 3]) }),
};

function answered(type, r) {
  const socket = (s) =>
    typeof s === "string" ? { id: s } : { id: s.id, rooms: s.rooms, handshake: JSON.stringify(s.handshake), data: JSON.stringify(s.data) };
  const argument = r.type === 9 ? r.packet : r.data;
  const isAnswer = r.type === 6 || r.type === 9;
  return {
    id: r.requestId, type, receivers: r.clientCount ?? r.sockets?.length ?? 0, done: r.type !== 8 && r.type !== 9,
    sockets: r.sockets?.map(socket) ?? [], rooms: r.rooms ?? [],
    ...(isAnswer ? encoded(argument === undefined ? [] : [argument]) : {}),
  };
}

async function answer(io, [name, make]) {
  published = [];
  let type;
  const { adapter } = io.of("/");
  const { onrequest } = adapter;
  adapter.onrequest = (channel, payload) => {
    type = decode(payload).type;
    return onrequest.call(adapter, channel, payload);
  };
  await make(io);
  await settled();
  delete adapter.onrequest;
  return published.map(({ channel, payload }, i) => ({
    name: type === 7 && i === 0 ? name + " (count)" : name,
    specific: io === specific, channel, payload: hex(payload), asker: `nodejs:${type}:peer01`, ...answered(type, decode(payload)),
  }));
}

const golden = { requests: [], responses: [] };
for (const each of Object.entries(requests)) golden.requests.push(await request(each));
for (const io of [common, specific]) {
  for (const each of Object.entries(responses)) golden.responses.push(...(await answer(io, each)));
}
const lines = (list) => "[\n" + list.map((g) => JSON.stringify(g)).join(",\n") + "\n]";
process.stdout.write(`{"requests":${lines(golden.requests)},\n"responses":${lines(golden.responses)}}\n`);
process.exit(0); // timers of requests that nobody answers
