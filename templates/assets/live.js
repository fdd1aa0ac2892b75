// Parts of a page that are shown anew when something changed, while the page is looked at. Without script one reloads.
"use strict";
const parts = () => document.querySelectorAll("[data-live]");
let source = null;
let waiting = false;

async function renew() {
  const answer = await fetch(location.href);
  // Who was signed out meanwhile is asked to sign in by the next page.
  if (!answer.ok || answer.redirected) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of parts()) {
    const fresh = now.getElementById(old.id);
    // What is being used stays as it is.
    if (old.isConnected && fresh && !old.contains(document.activeElement)) old.replaceWith(fresh);
  }
}

// Many changes at once are shown together.
function soon() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    if (source) renew().catch(() => {});
  }, 1000);
}

function watch() {
  source = new EventSource("/live");
  source.addEventListener("message", soon);
}

if (parts().length > 0) {
  for (const hint of document.querySelectorAll("[data-live] .reload")) hint.hidden = true;
  watch();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      watch();
      soon();
    }
  });
}
