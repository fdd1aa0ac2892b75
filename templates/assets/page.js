// What script adds to every page: buttons that copy a link, and a key that leads to the search. Without script the buttons stay
// hidden and the field is there to select.
"use strict";
for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("output");
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    let copied = true;
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // Browsers offer the clipboard on secure pages only; this older way works elsewhere.
      copied = document.execCommand("copy");
    }
    said.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => { said.textContent = ""; }, 4000);
  });
  field.addEventListener("focus", () => field.select());
}
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
