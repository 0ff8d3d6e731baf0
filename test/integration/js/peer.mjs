// A Node.js server with one client, which makes the calls to all servers that it is
// told to make.
//
//   node peer.mjs NAME REDIS [specific]
//
// It says {"id"}, its client's socket id, on the standard output when all is
// connected. Each line on the standard input is [call, ...arguments]; its outcome is
// a line {"value"} or {"error", "value"}. It ends with its standard input.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";

const [, , name, url, specific] = process.argv;
const publisher = createClient({ url });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const web = createServer();
const adapter = createAdapter(publisher, subscriber, { requestsTimeout: 3000, publishOnSpecificResponseChannel: !!specific });
const io = new Server(web, { adapter });
io.on("ask", (argument, done) => done({ from: name, argument }));
await subscriber.ping(); // behind the adapter's subscriptions on the same connection
await new Promise((done) => web.listen(0, "127.0.0.1", done));

const client = connect(`http://127.0.0.1:${web.address().port}`, { auth: { token: name }, transports: ["websocket"] });
client.on("ask", (argument, done) => done({ from: client.id, argument }));
const [socket] = await Promise.all([
  new Promise((done) => io.on("connection", done)),
  new Promise((done) => client.on("connect", done)),
]);
socket.data.owner = name;
await socket.join("room of " + name);

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
