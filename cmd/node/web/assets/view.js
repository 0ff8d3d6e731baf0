// What the page shows. Everything from the network is set as text, never as markup.

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const hues = [275, 165, 55, 340, 220, 110]; // a colour for each node, far apart for the first few

function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

export class View {
  #nodes; // those that the page was told of: {name, port}
  #here;
  #room = "";
  #painted; // names of the nodes that have a colour, in its order
  #empty = $("empty");
  #invitation = $("invitation");

  constructor(config) {
    this.#nodes = config.nodes;
    this.#painted = config.nodes.map((n) => n.name);
    this.here = config.node;
  }

  // here is the node that the socket is connected to.
  set here(node) {
    this.#here = node;
    this.#paint(document.documentElement, node);
    this.#empty.querySelector("#here").textContent = node;
    this.#announce();
  }

  set room(name) {
    $("room").value = name;
    $("room").style.width = `${Math.max(name.length, 4) + 1}ch`;
    this.#room = name;
    this.#announce();
  }

  // state is one of connecting, connected, lost and broken, and what to say about it.
  state(state, text, transport = "") {
    document.body.dataset.state = state;
    $("state").textContent = text;
    $("transport").textContent = transport;
    $("text").disabled = state !== "connected";
  }

  clear() {
    $("log").replaceChildren(this.#empty);
  }

  message(m, mine) {
    const meta = element("p", "meta", element("b", "", m.from.name), element("span", "badge", m.node), element("time", "", clock.format(m.at)));
    const item = element("li", mine ? "message mine" : "message", avatar(m.from), element("div", "", meta, element("p", "bubble", m.text)));
    this.#paint(item, m.node);
    this.#append(item);
    this.#flash(m.node);
  }

  notice(text) {
    this.#append(element("li", "notice", text));
  }

  // cluster shows a card for each node: those that the page was told of, and those that were heard.
  cluster(presence, me) {
    const { people, nodes } = presence.count();
    $("summary").textContent = people === 0 ? "The cluster" : `${people} ${people === 1 ? "person" : "people"} on ${nodes} ${nodes === 1 ? "node" : "nodes"}`;
    const told = new Set(this.#nodes.map((n) => n.name));
    const heard = presence.nodes().filter((name) => !told.has(name)).map((name) => ({ name }));
    $("nodes").replaceChildren(...[...this.#nodes, ...heard].map((n) => this.#card(n, presence.members(n.name), me)));
  }

  #card(node, members, me) {
    const here = node.name === this.#here;
    const title = element("h3", "", element("span", "dot"), node.name);
    if (here) title.append(element("span", "here", "you are here"));
    else if (node.port) title.append(this.#link(node, element("span", "", "open "), "↗"));
    const people = members.map((m) => element("li", "", avatar(m), m.id === me ? `${m.name} (you)` : m.name));
    const card = element("li", here ? "node current" : "node", title,
      people.length ? element("ul", "people", ...people) : element("p", "nobody", "nobody here yet"));
    card.dataset.node = node.name;
    this.#paint(card, node.name);
    return card;
  }

  // A node's card lights up for a moment when somebody speaks there.
  #flash(node) {
    const card = document.querySelector(`.node[data-node="${CSS.escape(node)}"]`);
    card?.animate({ boxShadow: ["0 0 0 3px oklch(0.62 0.19 var(--hue) / 0.6)", "0 0 0 3px transparent"] }, 700);
  }

  #announce() {
    document.title = `#${this.#room} on ${this.#here} · roomcast`;
    const others = this.#nodes.filter((n) => n.port && n.name !== this.#here);
    if (others.length === 0) return;
    const links = others.flatMap((n, i) => (i === 0 ? [this.#link(n, n.name)] : [" or ", this.#link(n, n.name)]));
    this.#invitation.replaceChildren("Open ", ...links, " in another tab and say hello: every node hears it.");
  }

  // A node is on the host that the browser already reached, on a port of its own.
  #link(node, ...text) {
    const a = element("a", "", ...text);
    a.setAttribute("aria-label", `Open ${node.name}`);
    a.href = `${location.protocol}//${location.hostname}:${node.port}/${location.hash}`;
    a.target = "_blank";
    a.rel = "noopener";
    return a;
  }

  #paint(e, node) {
    if (!this.#painted.includes(node)) this.#painted.push(node);
    e.style.setProperty("--hue", hues[this.#painted.indexOf(node) % hues.length]);
  }

  // The log follows its end, unless the reader has scrolled up.
  #append(item) {
    const log = $("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    this.#empty.remove();
    log.append(item);
    while (log.children.length > 500) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

function avatar(member) {
  const initials = member.name.split(/\s+/).map((word) => [...word][0] ?? "").slice(0, 2).join("").toUpperCase();
  const e = element("span", "avatar", initials);
  e.setAttribute("aria-hidden", "true");
  return e;
}
