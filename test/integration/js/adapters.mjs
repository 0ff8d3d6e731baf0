// The reference's adapters for Redis.

import { createAdapter as createClassicAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";

// openAdapter connects an adapter of a kind, "classic", "sharded" or "streams", to Redis. It returns the adapter, the
// client through which it speaks, and a function that waits until Redis has what the adapter subscribed to before.
export async function openAdapter(kind, url, options) {
  if (kind === "streams") return openStreams(url, options);
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const create = { classic: createClassicAdapter, sharded: createShardedAdapter }[kind];
  return {
    adapter: create(publisher, subscriber, options),
    client: publisher,
    subscribed: () => subscriber.ping(), // behind the adapter's subscriptions on the same connection
  };
}

// openStreams watches the connections that the adapter makes for itself: it does not say when it listens.
async function openStreams(url, options) {
  const name = `reference-${process.pid}`;
  const client = createClient({ url, name });
  await client.connect();
  const copies = [];
  const duplicate = client.duplicate.bind(client);
  client.duplicate = () => copies[copies.push(duplicate()) - 1];
  const adapter = createStreamsAdapter(client, options);
  let reads = false;
  const subscribed = async () => {
    while (!reads || !copies.some((copy) => copy.isPubSubActive)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      reads ||= (await client.clientList()).some((c) => c.name === name && c.cmd === "xread");
    }
    await copies.find((copy) => copy.isPubSubActive).ping();
  };
  return { adapter, client, subscribed };
}
