// What script adds to every page: buttons that copy a link, and a key that leads to the search. Without script the stylesheet hides
// the buttons, and the field is there to select. It listens to the whole page: parts of it are shown anew while it is open.
"use strict";
document.documentElement.dataset.script = "";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  let copied = true;
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Browsers offer the clipboard on secure pages only; this older way works elsewhere.
    copied = document.execCommand("copy");
  }
  const said = button.parentElement.querySelector("output");
  said.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
  setTimeout(() => { said.textContent = ""; }, 4000);
});
document.addEventListener("focusin", (event) => {
  if (event.target.matches(".with-button > input")) event.target.select();
});
// A form that came back says first what is wrong.
document.querySelector("[data-focus]")?.focus();

document.addEventListener("keydown", (event) => {
  const search = document.querySelector("[data-search]");
  if (search && event.key === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});
