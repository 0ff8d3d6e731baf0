// An emitter for clusters on a Redis stream. The reference has one that no registry carries, so this one writes what that would
// write: an entry for each call, as the sender "emitter".

import { encode } from "@msgpack/msgpack";

const types = { broadcast: 3, join: 4, leave: 5, disconnect: 6, serverSide: 9 };

const carriesBinary = (value) => ArrayBuffer.isView(value)
  || value !== null && typeof value === "object" && Object.values(value).some(carriesBinary);

export class StreamsEmitter {
  #redis;
  #nsp;
  #opts;

  constructor(redis, nsp = "/", opts = { rooms: [], except: [], flags: {} }) {
    this.#redis = redis;
    this.#nsp = nsp;
    this.#opts = opts;
  }

  of(nsp) { return new StreamsEmitter(this.#redis, nsp); }
  to(rooms) { return this.#with({ rooms: [...this.#opts.rooms, ...[rooms].flat()] }); }
  in(rooms) { return this.to(rooms); }
  except(rooms) { return this.#with({ except: [...this.#opts.except, ...[rooms].flat()] }); }
  get volatile() { return this.#with({ flags: { volatile: true } }); }

  emit(...event) { this.#add(types.broadcast, { packet: { type: 2, data: event, nsp: this.#nsp }, opts: this.#opts }); }
  socketsJoin(rooms) { this.#add(types.join, { opts: this.#opts, rooms: [rooms].flat() }); }
  socketsLeave(rooms) { this.#add(types.leave, { opts: this.#opts, rooms: [rooms].flat() }); }
  disconnectSockets(close = false) { this.#add(types.disconnect, { opts: this.#opts, close }); }
  serverSideEmit(...event) { this.#add(types.serverSide, { packet: event }); }

  #with(more) {
    return new StreamsEmitter(this.#redis, this.#nsp, { ...this.#opts, ...more });
  }

  #add(type, value) {
    const data = carriesBinary(value) ? Buffer.from(encode(value)).toString("base64") : JSON.stringify(value);
    this.#redis.xAdd("socket.io", "*", { uid: "emitter", nsp: this.#nsp, type: String(type), data },
      { TRIM: { strategy: "MAXLEN", strategyModifier: "~", threshold: 10_000 } });
  }
}
