// What a node of the reference implementation asks of its cluster for a client.

import { node, on } from "./events.mjs";

function select(socket, { to = [], except = [], others, local, volatile, compress, timeout }) {
  let selection = others ? socket.broadcast : socket.nsp;
  if (to.length) selection = selection.to(to);
  if (except.length) selection = selection.except(except);
  if (local) selection = selection.local;
  if (volatile) selection = selection.volatile;
  if (compress !== undefined) selection = selection.compress(compress);
  if (timeout) selection = selection.timeout(timeout);
  return selection;
}

// subscribed waits until what other servers say to the rooms that were joined before arrives: join itself does not.
export function serveCluster(namespace, subscribed) {
  namespace.on("connection", (socket) => {
    on(socket, "join", async (rooms) => {
      await socket.join(rooms);
      await subscribed();
    });
    on(socket, "leave", async (rooms) => {
      await Promise.all(rooms.map((room) => socket.leave(room)));
      await subscribed(); // a room that is joined again before Redis has answered to the end of its subscription hears nothing more
    });
    on(socket, "broadcast", (selection, event, ...args) => { select(socket, selection).emit(event, ...args); });
    on(socket, "call", (selection, event, ...args) => new Promise((resolve) => {
      select(socket, selection).emit(event, ...args, (err, answers) => resolve({ answers, complete: !err }));
    }));
    on(socket, "fetch sockets", async (selection) => (await select(socket, selection).fetchSockets()).map(describe));
    on(socket, "join sockets", (selection, rooms) => { select(socket, selection).socketsJoin(rooms); });
    on(socket, "leave sockets", (selection, rooms) => { select(socket, selection).socketsLeave(rooms); });
    on(socket, "disconnect sockets", (selection, close) => { select(socket, selection).disconnectSockets(close); });
    on(socket, "all rooms", async () => [...await socket.nsp.adapter.allRooms()].sort());
    on(socket, "count nodes", () => socket.nsp.adapter.serverCount());
    serveRemote(socket);
  });
}

const describe = ({ id, rooms, handshake, data }) => ({ id, rooms: [...rooms].sort(), handshake, data });

// serveRemote does things to one socket, wherever it is, through what fetchSockets gives.
function serveRemote(socket) {
  const remote = async (id) => (await socket.nsp.in(id).fetchSockets())[0];
  on(socket, "remote emit", async (id, event, ...args) => { (await remote(id)).emit(event, ...args); });
  on(socket, "remote call", async (id, event, ...args) => (await remote(id)).timeout(5_000).emitWithAck(event, ...args));
  on(socket, "remote join", async (id, room) => { (await remote(id)).join(room); });
  on(socket, "remote leave", async (id, room) => { (await remote(id)).leave(room); });
  on(socket, "remote disconnect", async (id, close) => { (await remote(id)).disconnect(close); });
}

// serveServers is about events between servers: those that it hears it tells to the clients that listen here.
export function serveServers(namespace) {
  namespace.on("tell servers", (...args) => namespace.local.to("listeners").emit("servers were told", ...args));
  namespace.on("ask servers", (value, done) => done({ node, value }));
  namespace.on("connection", (socket) => {
    on(socket, "tell servers", (...args) => { namespace.serverSideEmit("tell servers", ...args); });
    on(socket, "ask servers", (value) => namespace.serverSideEmitWithAck("ask servers", value));
  });
}
