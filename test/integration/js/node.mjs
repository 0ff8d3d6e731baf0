// A node of the reference implementation, which does what the stories ask of every node.
//
//   node node.mjs '{"redis": URL, "adapter": "classic" | "sharded" | "streams", "parser": "msgpack", "recovery": {…}}'
//
// Each of these may be left out; the adapter is the classic one then. It says {"url"} on the standard output when it
// listens, and ends with its standard input.

import { createServer } from "node:http";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";
import { openAdapter } from "./adapters.mjs";
import { serveCluster, serveServers } from "./handlers/cluster.mjs";
import { serveEvents } from "./handlers/events.mjs";

const { redis, adapter = "classic", parser, recovery } = JSON.parse(process.argv[2]);
const options = {};
if (parser === "msgpack") options.parser = msgpack;
if (recovery) options.connectionStateRecovery = recovery;
let subscribed = async () => {};
if (redis) ({ adapter: options.adapter, subscribed } = await openAdapter(adapter, redis));
const web = createServer();
const io = new Server(web, options);

for (const name of ["/", "/chat", "/private", /^\/world-\d+$/]) {
  const namespace = io.of(name);
  serveEvents(namespace);
  serveCluster(namespace, subscribed);
  if (typeof name === "string") serveServers(namespace);
}

io.of("/private").use((socket, next) => {
  const { token } = socket.handshake.auth;
  if (token === "right") return next();
  if (token === "broken") return next(new Error("internal error"));
  next(Object.assign(new Error("not allowed"), { data: { code: 403, given: token } }));
});
io.of("/greeting").on("connection", (socket) => socket.emit("welcome", socket.id));

await subscribed();
web.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${web.address().port}` })));
process.stdin.resume().on("end", () => process.exit(0));
