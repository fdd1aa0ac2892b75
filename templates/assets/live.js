// Parts of a page that tell how far work is: shown anew until none of them says so any more. Without script one reloads.
"use strict";
async function renew() {
  const answer = await fetch(location.pathname);
  // Who was signed out meanwhile is asked to sign in by the next page.
  if (!answer.ok || answer.redirected) return false;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = now.getElementById(old.id);
    // What is being used stays as it is: its inner parts come by themselves.
    if (old.isConnected && fresh && !old.contains(document.activeElement)) old.replaceWith(fresh);
  }
  return true;
}
async function live() {
  if (!document.querySelector("[data-live]")) return;
  for (const hint of document.querySelectorAll("[data-live] .reload")) hint.hidden = true;
  await new Promise((later) => setTimeout(later, 2000));
  const goes = await renew().catch(() => true);
  if (goes) live();
}
live();
