// One question. Its name stands behind the # of the address, which browsers send to nobody.
const name = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const at = (id) => document.getElementById(id);

async function send(path, content) {
  try {
    return await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name, ...content }),
    });
  } catch {
    return null;
  }
}

function over(text) {
  at("reply").hidden = true;
  at("status").textContent = text;
}

async function answer(words) {
  for (const button of document.querySelectorAll("button")) button.disabled = true;
  const response = await send("/v1/question/answer", { answer: words });
  for (const button of document.querySelectorAll("button")) button.disabled = false;
  if (response?.ok) over("Thank you. You can close this page and go back.");
  else if (response?.status === 404) over("This question is over. Go back to the program that you came from.");
  else at("status").textContent = "That did not arrive. Please try again.";
}

at("reply").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words").value.trim();
  if (words) answer(words);
  else at("status").textContent = "Write something, or decline.";
});
at("decline").addEventListener("click", () => answer(null));

const response = await send("/v1/question", {});
const found = response?.ok ? await response.json() : null;
if (found && !found.answered) {
  at("question").textContent = found.question;
  at("reply").hidden = false;
  at("words").focus();
} else {
  over("There is no such question, or it is over. Go back to the program that you came from.");
}
