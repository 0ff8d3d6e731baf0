// Plays stories with the official client.
//
//   node player.mjs
//
// Each line of the standard input is a JSON object: "story" names a function that a module in stories/
// exports, the rest is for its Stage. When the story is over, one line on the standard output says
// {"story"}, with "error" when it went wrong and "result" when the story returned something.

import { createInterface } from "node:readline";
import { ask, next, Stage } from "./stage.mjs";
import * as answers from "./stories/answers.mjs";
import * as cluster from "./stories/cluster.mjs";
import * as emitters from "./stories/emitters.mjs";
import * as events from "./stories/events.mjs";
import * as lives from "./stories/lives.mjs";
import * as namespaces from "./stories/namespaces.mjs";
import * as recovery from "./stories/recovery.mjs";
import * as rooms from "./stories/rooms.mjs";
import * as sockets from "./stories/sockets.mjs";
import * as upgrades from "./stories/upgrades.mjs";

const stories = {
  ...answers, ...cluster, ...emitters, ...events, ...lives, ...namespaces, ...recovery, ...rooms, ...sockets, ...upgrades,
};

// An error that no story awaits ends the one that is playing.
let interrupt = () => {};
process.on("unhandledRejection", (err) => interrupt(err));
process.on("uncaughtException", (err) => interrupt(err));

// delivered waits until every node has delivered what was said in the stories before, in the namespaces in which there are
// words for all. Redis reaches some nodes later than others, and this story's clients would hear of those. A story that has
// ended may have ended nodes, too.
async function delivered(stage) {
  await Promise.all(["/", "/chat"].map(async (namespace) => {
    const clients = await stage.everywhere({ namespace });
    const heard = clients.flatMap((client) => clients.map((_, i) => next(client, `over ${i}`)));
    await Promise.all(clients.map((client, i) => ask(client, "broadcast", {}, `over ${i}`)));
    await Promise.all(heard);
  }));
  stage.clear();
}

for await (const line of createInterface({ input: process.stdin })) {
  const { story, ...scene } = JSON.parse(line);
  const stage = new Stage(scene);
  const answer = { story };
  try {
    const play = stories[story];
    if (!play) throw new Error(`there is no story of that name`);
    if (stage.adapter) await delivered(stage);
    answer.result = await Promise.race([play(stage), new Promise((_, reject) => { interrupt = reject; })]);
  } catch (err) {
    answer.error = String(err?.stack ?? err);
  }
  stage.clear();
  console.log(JSON.stringify(answer));
}
process.exit(0); // whatever a story that went wrong has left open
