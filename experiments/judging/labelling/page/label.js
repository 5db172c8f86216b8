// One answer after the other. Everything is written by textContent: nothing that is shown is markup. The rater's key is
// in the address behind #, which no request holds; what is chosen lives on the server, so that a reload loses nothing.

const key = location.hash.slice(1);
const at = (id) => document.getElementById(id);
let rubric = [];
let place = null;
let chain = Promise.resolve(); // saves, one after the other: a draft never overtakes a final label
let steps = Promise.resolve();
let running = 0;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function say(text, failed = false) {
  at("status").textContent = text;
  at("status").className = failed ? "failed" : "small";
}

async function call(path, body) {
  const headers = { authorization: `Bearer ${key}`, ...(body ? { "content-type": "application/json" } : {}) };
  // keepalive: a choice that was made just before a reload still arrives.
  const options = body ? { method: "POST", headers, body: JSON.stringify(body), keepalive: true } : { headers };
  const answer = await fetch(path, options);
  if (answer.status === 401) throw new Error("This link is not valid (any more): take the one that the command printed.");
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer.json();
}

const told = (error) => (error instanceof TypeError ? "The server does not answer. Is the command still running?" : error.message);

function field({ name, question, anchors }) {
  const box = make("fieldset");
  box.append(make("legend", "", name.replaceAll("_", " ")), make("p", "small", question));
  for (const [level, meaning] of [...anchors.map((text, i) => [i + 1, text]), [0, "cannot say"]]) {
    const line = make("label");
    const radio = make("input");
    Object.assign(radio, { type: "radio", name, value: String(level) });
    line.append(radio, make("span", "level", String(level)), make("span", "", meaning));
    box.append(line);
  }
  return box;
}

const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);
const complete = () => rubric.every(({ name }) => chosen(name));

function levels() {
  return Object.fromEntries(rubric.map(({ name }) => [name, chosen(name) ? Number(chosen(name).value) : null]));
}

function focusOn(name) {
  (chosen(name) || document.querySelector(`input[name=${name}]`)).focus({ preventScroll: true });
}

function show(found) {
  at("progress").textContent = `${found.rater}: ${found.done} of ${found.of} labelled`;
  const over = found.answer === null;
  for (const id of ["material", "levels"]) at(id).hidden = over;
  at("end").hidden = !over;
  place = over ? found.of : found.place;
  if (over) {
    at("end").textContent = `All ${found.of} answers are labelled. Thank you. Backspace goes back to the last one.`;
    return;
  }
  at("query").textContent = found.query;
  at("answer").textContent = found.answer;
  const people = found.profile.map(([name, value]) => {
    const entry = make("div");
    entry.append(make("dt", "", name), make("dd", "", value));
    return entry;
  });
  at("profile").replaceChildren(...people);
  for (const { name } of rubric) {
    for (const radio of document.querySelectorAll(`input[name=${name}]`)) {
      radio.checked = found.levels[name] !== undefined && String(found.levels[name]) === radio.value;
    }
  }
  at("back").disabled = place === 0;
  at("save").disabled = !complete();
  at("material").scrollTop = at("levels").scrollTop = 0; // what is to be read comes first
  scrollTo(0, 0);
  focusOn((rubric.find(({ name }) => !chosen(name)) || rubric[0]).name);
}

async function go(where = null) {
  try {
    show(await call(where === null ? "/v1/answer" : `/v1/answer?place=${where}`));
  } catch (error) {
    say(told(error), true);
  }
}

function keep(final) {
  const body = { place, final, ...levels() };
  say("Saving ...");
  chain = chain.then(async () => {
    try {
      const { done, of } = await call("/v1/levels", body);
      say("Saved.");
      at("progress").textContent = at("progress").textContent.replace(/: .*/, `: ${done} of ${of} labelled`);
      return true;
    } catch (error) {
      say(`Not saved. ${told(error)} Choose again, or press Enter again.`, true);
      return false;
    }
  });
  return chain;
}

// Steps from one answer to another run one after the other; meanwhile no key chooses, for the next one is not seen yet.
function step(run) {
  running += 1;
  at("save").disabled = true;
  steps = steps.then(run).finally(() => {
    running -= 1;
    at("save").disabled = !complete();
  });
}

function save() {
  if (running || !complete() || at("levels").hidden) return;
  step(async () => {
    if (await keep(true)) await go();
  });
}

function back() {
  step(async () => {
    await chain;
    if (place) await go(place - 1);
  });
}

function choose(value) {
  const focused = document.activeElement?.name;
  const name = rubric.some((d) => d.name === focused) ? focused : (rubric.find((d) => !chosen(d.name)) || rubric[0]).name;
  const radio = document.querySelector(`input[name=${name}][value="${value}"]`);
  radio.checked = true;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
  const next = rubric.find((d) => !chosen(d.name));
  if (next) focusOn(next.name);
  else radio.focus({ preventScroll: true });
  document.activeElement.closest("fieldset").scrollIntoView({ block: "nearest" });
}

// In two columns the page keys move the text, wherever the levels have the focus; in one they move the page.
function turn(direction) {
  const text = at("material");
  const moves = text.scrollHeight > text.clientHeight;
  if (moves) text.scrollBy(0, direction * 0.8 * text.clientHeight);
  return moves;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Backspace") back();
  else if (event.key === "PageDown" || event.key === "PageUp") {
    if (!turn(event.key === "PageDown" ? 1 : -1)) return;
  }
  else if (at("levels").hidden || running) return;
  else if (/^[0-5]$/.test(event.key)) choose(event.key);
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON" && event.target.tagName !== "A") save();
  else return;
  event.preventDefault();
});

at("levels").addEventListener("change", () => {
  at("save").disabled = running > 0 || !complete();
  keep(false);
});
at("levels").addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
at("back").addEventListener("click", back);

addEventListener("hashchange", () => location.reload()); // another rater's link in the same tab

try {
  rubric = await call("/v1/rubric");
  at("dimensions").replaceChildren(...rubric.map(field));
  await go();
} catch (error) {
  say(told(error), true);
}
