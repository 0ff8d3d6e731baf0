// The server of the reference that a load generator measures: the handlers of test/bench/server.
//
//   node bench.mjs '{"redis": URL, "namespaces": N}'
//
// Each of these may be left out; there are N further namespaces, /0, /1 and so on. It says {"url"} on the standard
// output when it listens.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { openAdapter } from "./adapters.mjs";

const { redis, namespaces = 0 } = JSON.parse(process.argv[2] ?? "{}");
const options = { serveClient: false };
let subscribed = async () => {};
if (redis) ({ adapter: options.adapter, subscribed } = await openAdapter("classic", redis));
const web = createServer();
const io = new Server(web, options);

for (const name of ["/", ...Array.from({ length: namespaces }, (_, i) => `/${i}`)]) {
  const namespace = io.of(name);
  namespace.on("connection", (socket) => {
    socket.on("join", async (room, ack) => {
      await socket.join(room);
      ack();
    });
    socket.on("publish", (room, payload) => namespace.to(room).emit("msg", payload));
    socket.on("echo", (payload, ack) => ack(payload));
  });
}

await subscribed();
web.listen(0, "127.0.0.1", 4096, () => console.log(JSON.stringify({ url: `http://127.0.0.1:${web.address().port}` })));
