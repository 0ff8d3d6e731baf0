// A node of the reference implementation in the cluster, which does what the stories ask of every node.
//
//   node node.mjs REDIS
//
// It says {"url"} on the standard output when it listens, and ends with its standard input.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const publisher = createClient({ url: process.argv[2] });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const web = createServer();
const io = new Server(web, { adapter: createAdapter(publisher, subscriber) });

function select(socket, { to = [], except = [], others, local, volatile }) {
  let selection = others ? socket.broadcast : socket.nsp;
  if (to.length) selection = selection.to(to);
  if (except.length) selection = selection.except(except);
  if (local) selection = selection.local;
  if (volatile) selection = selection.volatile;
  return selection;
}

for (const namespace of ["/", "/chat"]) {
  io.of(namespace).on("connection", (socket) => {
    socket.on("join", async (rooms, done) => {
      await socket.join(rooms);
      done();
    });
    socket.on("leave", async (rooms, done) => {
      await Promise.all(rooms.map((room) => socket.leave(room)));
      done();
    });
    socket.on("broadcast", (selection, event, ...rest) => {
      const done = rest.pop();
      select(socket, selection).emit(event, ...rest);
      done();
    });
  });
}

await subscriber.ping(); // behind the adapters' subscriptions on the same connection
web.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ url: `http://127.0.0.1:${web.address().port}` })));
process.stdin.resume().on("end", () => process.exit(0));
