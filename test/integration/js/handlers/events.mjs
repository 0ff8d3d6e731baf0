// What a node of the reference implementation does with the events of one client.

import { randomUUID } from "node:crypto";

export const node = randomUUID();

// on registers a handler whose result, or whose error, is the acknowledgement if the client wants one.
export function on(socket, event, handle) {
  socket.on(event, async (...args) => {
    const done = typeof args.at(-1) === "function" ? args.pop() : () => {};
    try {
      done(await handle(...args));
    } catch (err) {
      done({ error: { message: err.message } });
    }
  });
}

export function serveEvents(namespace) {
  namespace.on("connection", (socket) => {
    serveEchoes(socket);
    serveLife(socket);
    serveListeners(socket);
  });
}

function serveEchoes(socket) {
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("repeat", (...args) => socket.emit("repeated", ...args));
  socket.on("ask", (...args) => {
    const done = args.pop();
    socket.emit("question", ...args, (...answer) => done(...answer));
  });
  on(socket, "ask within", async (ms, ...args) => {
    try {
      return { answer: await socket.timeout(ms).emitWithAck("question", ...args), late: false };
    } catch {
      return { answer: null, late: true };
    }
  });
  socket.on("size", (text) => socket.emit("size", text.length));
  socket.on("fail", (done) => done({ error: { message: "as you wish", data: { code: 42 } } }));
}

function serveLife(socket) {
  on(socket, "whoami", () => ({ node, auth: Object.keys(socket.handshake.auth).length ? socket.handshake.auth : null }));
  on(socket, "set data", (data) => { socket.data = data; });
  on(socket, "get data", () => socket.data);
  socket.on("kick", (close) => socket.disconnect(close));
  socket.on("disconnect", (reason) => socket.nsp.to("watchers").emit("left", socket.id, reason));
}

function serveListeners(socket) {
  const heard = [], said = [];
  socket.onAny((event, ...args) => {
    if (event.startsWith("seen")) heard.push([event, ...args]);
  });
  socket.onAnyOutgoing((event, ...args) => {
    if (event.startsWith("seen")) said.push([event, ...args]);
  });
  on(socket, "heard and said", () => ({ heard, said }));
  socket.use(([event, allowed], next) => next(event === "guarded" && !allowed ? new Error("not allowed") : undefined));
  socket.on("error", () => {}); // of the middleware; the client is not told
  socket.on("guarded", (_, ...args) => socket.emit("passed", ...args));
}
