// A Node.js server with one client, which makes the calls to all servers that it is
// told to make.
//
//   node peer.mjs NAME REDIS ADAPTER [OPTION]
//
// ADAPTER is a kind of openAdapter; OPTION is "specific" for the classic one to answer
// whoever has asked alone, and the sharded one's mode. It says {"id"}, its client's socket
// id, on the standard output when all is connected. Each line on the standard input is
// [call, ...arguments]; its outcome is a line {"value"} or {"error", "value"}. It ends with
// its standard input.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { openAdapter } from "./adapters.mjs";

const [, , name, url, kind, option] = process.argv;
const options = {
  classic: { requestsTimeout: 3000, publishOnSpecificResponseChannel: option === "specific" },
  sharded: { subscriptionMode: option },
}[kind] ?? {};
const { adapter, subscribed } = await openAdapter(kind, url, options);
const web = createServer();
const io = new Server(web, { adapter });
io.on("ask", (argument, done) => done({ from: name, argument }));
await subscribed();
await new Promise((done) => web.listen(0, "127.0.0.1", done));

const client = connect(`http://127.0.0.1:${web.address().port}`, { auth: { token: name }, transports: ["websocket"] });
client.on("ask", (argument, done) => done({ from: client.id, argument }));
const heard = [];
client.onAny((...event) => heard.push(event));
const [socket] = await Promise.all([
  new Promise((done) => io.on("connection", done)),
  new Promise((done) => client.on("connect", done)),
]);
socket.data.owner = name;
await socket.join("room of " + name);

await subscribed();

const events = { text: [1, null, "😀"], binary: [{ b: Buffer.from([0, 255]) }] };

function select({ rooms = [], except = [], volatile, compress }) {
  let selection = io.to(rooms).except(except);
  if (volatile) selection = selection.volatile;
  if (compress !== undefined) selection = selection.compress(compress);
  return selection;
}

const describe = (s) => ({ id: s.id, rooms: [...s.rooms], handshake: s.handshake, data: s.data });
const calls = {
  count: () => io.of("/").adapter.serverCount(),
  fetch: async (...rooms) => (await io.in(rooms).fetchSockets()).map(describe),
  rooms: async () => [...(await io.of("/").adapter.allRooms())],
  askServers: (argument) => io.serverSideEmitWithAck("ask", argument),
  tellServers: (argument) => io.serverSideEmit("tell", argument),
  askSockets: (argument, ...rooms) => io.in(rooms).timeout(3000).emitWithAck("ask", argument),
  join: (to, from) => io.in(from).socketsJoin(to),
  leave: (to, from) => io.in(from).socketsLeave(to),
  disconnect: (from, close) => io.in(from).disconnectSockets(close),
  emit: (selection, kind) => { select(selection ?? {}).emit(kind === "binary" ? "part" : "text", ...events[kind]); },
  // All events of the client up to one of that name.
  heard: async (last) => {
    while (heard.at(-1)?.[0] !== last) await new Promise((done) => client.prependAny(done));
    return heard;
  },
  here: () => [...socket.rooms],
  connected: () => client.connected,
};

const say = (line) => console.log(JSON.stringify(line));
say({ id: socket.id });
createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const [call, ...args] = JSON.parse(line);
    try {
      say({ value: (await calls[call](...args)) ?? null });
    } catch (error) {
      say({ error: error.message, value: error.responses ?? null });
    }
  })
  .on("close", () => process.exit(0));
