// A chat over /v1/chat/completions of the server that this page came from. All that is said lives in `messages`,
// in this page alone; each request sends it whole. Everything is written by textContent: nothing said is markup.

import { events } from "./events.js";

const SKIP = "Skip this question.";
const JUST_ANSWER = "Just answer now.";
const FORGOTTEN = "[forgotten]";
const isNarrow = window.matchMedia("(max-width: 50rem)");

const at = (id) => document.getElementById(id);
let messages = []; // {role, content, attribute: of a question or of the reply to it}
let known = {};
let forgotten = new Set();
let open = null; // what the layer told of the question that is open
let running = null; // AbortController of the request on its way
let model = null;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function entry(kind, speaker) {
  const item = make("li", kind);
  item.append(make("p", "small", speaker));
  at("log").append(item);
  return item;
}

// The end of what is new, as long as its beginning can be seen too.
function shown(item) {
  item.scrollIntoView({ block: item.offsetHeight + 24 < at("chat").clientHeight ? "end" : "start" });
}

function contact(text) {
  const strong = make("strong");
  const number = /^(?:call(?: or text)? )?([+\d][\d\s()-]{1,18})$/i.exec(text)?.[1].replace(/[^\d+]/g, "");
  const address = /^(https:\/\/)?([\w-]+\.)+[a-z]{2,}(\/\S*)?$/i.test(text) ? text.replace(/^(https:\/\/)?/, "https://") : "";
  if (!number && !address) {
    strong.textContent = text;
    return strong;
  }
  const link = make("a", "", text);
  link.href = number ? `tel:${number}` : address;
  link.rel = "noreferrer noopener";
  if (address) link.target = "_blank";
  strong.append(link);
  return strong;
}

// A model's answer: of its Markdown what is bold and what is a heading, as elements; all else as it was written.
function prose(text) {
  return text.split(/(\*\*[^*\n]+\*\*|^#{1,6} .+$)/m).filter(Boolean).map((part) => {
    const words = /^\*\*([^*\n]+)\*\*$|^#{1,6} (.+)$/.exec(part);
    return words ? make("strong", "", (words[1] ?? words[2]).replaceAll("**", "")) : part;
  });
}

// "0800 1 or 0800 2" is two numbers, "call or text 1" is one.
function contacts(text) {
  return text.split(/(?<=\d)( or )(?=[+\d])/).map((part) => (part === " or " ? part : contact(part)));
}

function places(resources) {
  const list = make("ul", "places");
  for (const { where, name, contact: how } of resources || []) {
    const item = make("li", "", `${where}: ${name}, `);
    item.append(...contacts(how));
    list.append(item);
  }
  return list;
}

function showTurn(item, turn, text) {
  if (turn.kind === "escalate") {
    const help = make("div");
    item.className = "assistant escalate";
    help.tabIndex = -1;
    help.setAttribute("role", "alert");
    item.append(help);
    help.append(make("p", "question said", turn.message || text.split("\n\n")[0]), places(turn.resources));
    if (turn.note) help.append(make("p", "note", turn.note));
    if (isNarrow.matches) at("known").open = false;
    help.focus({ preventScroll: true });
  } else if (turn.kind === "consent") {
    item.append(make("p", "question said", text));
  } else {
    if (turn.note) item.append(make("p", "note", turn.note));
    if (turn.number) item.append(make("p", "count", `Question ${turn.number} of at most ${turn.of}`));
    item.append(make("p", "question said", turn.question || text));
    if (turn.why) item.append(make("p", "why", turn.why));
    if ((turn.resources || []).length) item.append(places(turn.resources));
  }
}

function showKnown() {
  const names = Object.keys(known);
  at("known-none").hidden = names.length > 0;
  at("known-count").textContent = names.length ? `(${names.length})` : "";
  at("known-list").replaceChildren(...names.map((name) => {
    const item = make("li");
    const button = make("button", "", "Forget");
    button.type = "button";
    button.setAttribute("aria-label", `Forget ${name}`);
    button.addEventListener("click", () => forget(name));
    item.append(make("span", "name", name), make("span", "value", known[name]), button);
    return item;
  }));
}

// What was told goes from everything that is sent from now on, and from what is on the screen.
function forget(name) {
  const words = known[name].trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])${words}(?![\\p{L}\\p{N}_])`, "giu");
  for (const message of messages) {
    const isReply = message.role === "user" && message.attribute === name;
    message.content = isReply ? SKIP : message.content.replace(pattern, FORGOTTEN);
    message.said.textContent = isReply ? FORGOTTEN : message.said.textContent.replace(pattern, FORGOTTEN);
  }
  delete known[name];
  forgotten.add(name);
  showKnown();
  at("status").textContent = `Forgotten: ${name}. It will not be asked again.`;
  at("words").focus();
}

function showState() {
  const isBusy = running !== null;
  const isQuestion = !isBusy && open !== null && open.kind === "ask";
  at("send").disabled = isBusy;
  at("stop").hidden = !isBusy;
  at("skip").hidden = !(isQuestion && open.attribute);
  at("yes").hidden = isBusy || open?.kind !== "consent";
  at("answer").hidden = !(!isBusy && open !== null && (open.kind === "consent" || (isQuestion && open.attribute)));
  at("start").hidden = messages.length > 0;
}

function failed(text) {
  const item = entry("assistant failed", "No answer came");
  const again = make("button", "", "Try again");
  again.type = "button";
  again.addEventListener("click", () => { item.remove(); ask(); });
  item.append(make("p", "said", text), again);
  shown(item);
  at("status").textContent = "";
}

function headers() {
  const key = at("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
}

async function refused(response) {
  at("key-row").hidden = response.status !== 401 && at("key-row").hidden;
  const body = await response.json().catch(() => ({}));
  return new Error(body?.error?.message || `The server answered ${response.status}.`);
}

async function chooseModel(signal) {
  const response = await fetch("v1/models", { headers: headers(), signal });
  if (!response.ok) throw await refused(response);
  const names = (await response.json()).data.map((row) => row.id).filter((id) => !id.endsWith(":direct"));
  return names[0] || "default";
}

async function* pieces(signal) {
  const sent = messages.map(({ role, content }) => ({ role, content }));
  const body = JSON.stringify({ model, messages: sent, stream: true, raise: {} });
  const response = await fetch("v1/chat/completions", { method: "POST", headers: headers(), body, signal });
  if (!response.ok) throw await refused(response);
  let isWhole = false;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") { isWhole = true; break; }
    const piece = JSON.parse(data);
    if (piece.error) throw new Error(piece.error.message || "The answer broke off.");
    yield piece;
  }
  if (!isWhole) throw new Error("The answer broke off.");
}

// One turn of the assistant: a question, help, or the model's answer, piece by piece. Never repeated by itself.
async function ask() {
  if (running) return;
  running = new AbortController();
  open = null;
  at("status").textContent = "Thinking…";
  showState();
  let turn = null, item = null, said = null, text = "";
  try {
    model ??= await chooseModel(running.signal).catch((error) => {
      if (error.name === "AbortError" || !at("key-row").hidden) throw error;
      return "default"; // questions come without a model; an answer will say what is wrong
    });
    for await (const piece of pieces(running.signal)) {
      turn ??= piece.raise || { kind: "pass" };
      text += piece.choices?.[0]?.delta?.content || "";
      if (["pass", "answer"].includes(turn.kind) && text) {
        if (!item) { item = entry("assistant", "Answer"); said = make("p", "said"); item.append(said); }
        said.replaceChildren(...prose(text));
        shown(item);
      }
    }
    took(turn, item, said, text);
  } catch (error) {
    if (error.name === "AbortError") took({ kind: "pass" }, item, said, text);
    else { item?.remove(); running = null; failed(error.message); }
  }
  running = null;
  showState();
  if (turn?.kind === "ask" && forgotten.has(turn.attribute)) say(SKIP);
}

function took(turn, item, said, text) {
  at("status").textContent = text ? "" : "Stopped.";
  if (turn?.known) { known = turn.known; showKnown(); }
  if (!text) return;
  const isOurs = ["ask", "consent", "escalate"].includes(turn.kind);
  const isSkipped = turn.kind === "ask" && forgotten.has(turn.attribute);
  if (isOurs && !isSkipped) {
    item = entry("assistant", turn.kind === "escalate" ? "Help comes first" : "A question before the answer");
    showTurn(item, turn, text);
    shown(item);
  }
  open = isOurs ? turn : null;
  messages.push({ role: "assistant", content: text, attribute: turn.attribute, said: said || make("p") });
}

function say(content) {
  if (running || !content.trim()) return;
  const said = make("p", "said", content);
  const isAutomatic = content === SKIP && open !== null && forgotten.has(open.attribute);
  if (!isAutomatic) {
    const item = entry("person", "You");
    item.append(said);
    shown(item);
  }
  messages.push({ role: "user", content, attribute: open?.attribute, said });
  at("words").value = "";
  ask();
}

function restart() {
  running?.abort();
  messages = [];
  known = {};
  forgotten = new Set();
  open = null;
  at("log").replaceChildren();
  at("status").textContent = "";
  showKnown();
  showState();
  at("words").focus();
}

at("composer").addEventListener("submit", (event) => { event.preventDefault(); say(at("words").value); });
at("words").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); say(at("words").value); }
});
at("skip").addEventListener("click", () => { say(SKIP); at("words").focus(); });
at("answer").addEventListener("click", () => { say(JUST_ANSWER); at("words").focus(); });
at("yes").addEventListener("click", () => { say("Yes"); at("words").focus(); });
at("stop").addEventListener("click", () => running?.abort());
at("restart").addEventListener("click", restart);
if (isNarrow.matches) at("known").open = false;
showState();
at("words").focus();
