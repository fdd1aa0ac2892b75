// Parts of a page that are shown anew when something changed, while the page is looked at. Without script one reloads.
"use strict";
const parts = () => document.querySelectorAll("[data-live]");
// Whether changes are told: the stylesheet then hides the hints to reload.
const told = (yes) => document.documentElement.classList.toggle("live", yes);
let source = null;
let waiting = false;
let missed = false;

function isUsed(element) {
  const chosen = getSelection();
  return element.contains(document.activeElement) || element.matches("details[open], output:not(:empty)") ||
    element.querySelector("details[open]") || (!chosen.isCollapsed && chosen.containsNode(element, true));
}

// What is being used stays as it is; what is beside it does not have to.
function show(fresh, old) {
  if (old.isEqualNode(fresh)) return;
  if (!isUsed(old)) {
    old.replaceWith(fresh);
    return;
  }
  // The items of a list change places: it stays as a whole.
  if (old.matches("details, dl, form, ol, tbody, ul")) return;
  const [before, after] = [[...old.children], [...fresh.children]];
  const isAlike = (child, index) => child.tagName === after[index].tagName && child.id === after[index].id;
  if (before.length === after.length && before.every(isAlike)) before.forEach((child, index) => show(after[index], child));
}

async function renew() {
  // The header says that no person asked: a page that is left open does not keep its session.
  const answer = await fetch(location.href, { headers: { "x-renewal": "1" }, signal: AbortSignal.timeout(30000) });
  // Who was signed out meanwhile is asked to sign in by the next page.
  if (!answer.ok || answer.redirected) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of parts()) {
    const fresh = now.getElementById(old.id);
    if (old.isConnected && fresh) show(fresh, old);
  }
}

// Many changes at once are shown together, and what changes while they are asked for is shown after them.
function soon() {
  missed = true;
  if (waiting) return;
  waiting = true;
  setTimeout(async () => {
    missed = false;
    if (source) await renew().catch(() => {});
    waiting = false;
    if (missed) soon();
  }, 1000);
}

function watch() {
  if (source || document.hidden) return;
  source = new EventSource("/live");
  source.addEventListener("message", soon);
  source.addEventListener("open", () => {
    told(true);
    // Nobody told what changed before.
    soon();
  });
  source.addEventListener("error", (event) => {
    // Unless it was refused, the browser itself tries again.
    if (event.target.readyState !== EventSource.CLOSED) return;
    source = null;
    told(false);
    setTimeout(watch, 60000);
  });
}

if (parts().length > 0) {
  watch();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      watch();
      return;
    }
    source?.close();
    source = null;
  });
}
