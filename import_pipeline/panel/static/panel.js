// Makes the panel live: refreshes the main part, opens confirmations as dialogs, shows times in the reader's zone.
// Without it, everything works as plain links and forms.
"use strict";

const FRAGMENT = { "X-Panel-Fragment": "1" };
const LONGEST_WAIT = 10000;
const NOTICE_MILLISECONDS = 15000;

const clock = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const thisYear = new Intl.DateTimeFormat(undefined, clock);
const otherYear = new Intl.DateTimeFormat(undefined, { year: "numeric", ...clock });

function localise(root) {
  const zone = document.getElementById("zone");
  if (zone) zone.textContent = thisYear.resolvedOptions().timeZone;
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    element.title = element.textContent.trim();
    const format = at.getFullYear() === new Date().getFullYear() ? thisYear : otherYear;
    element.textContent = format.format(at);
  }
}

// Changes the old tree into the new one where they differ, so that focus, selection and open details stay.
function morph(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  const children = [...fresh.childNodes];
  const known = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  children.forEach((child, place) => {
    let present = old.childNodes[place];
    if (child.id && known.has(child.id) && present !== known.get(child.id)) {
      old.insertBefore(known.get(child.id), present ?? null);
      present = known.get(child.id);
    }
    if (!present) old.append(child);
    else if (!alike(present, child)) present.replaceWith(child);
    else if (child.nodeType === Node.ELEMENT_NODE) morph(present, child);
    else if (present.data !== child.data) present.data = child.data;
  });
  while (old.childNodes.length > children.length) old.lastChild.remove();
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
}

async function fragment(url) {
  const answer = await fetch(url, { headers: FRAGMENT, cache: "no-store", credentials: "same-origin" });
  if (answer.status === 401) location.reload();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = page.querySelector("main");
  if (!main || answer.status >= 500) throw new Error(`no page at ${url}`);
  localise(main);
  return document.adoptNode(main);
}

function address() {
  return location.href.split("#")[0];
}

let waited = 0;

async function refresh() {
  const main = document.getElementById("main");
  const offline = document.getElementById("offline");
  if (document.hidden) return document.addEventListener("visibilitychange", refresh, { once: true });
  const asked = address();
  try {
    const fresh = await fragment(asked);
    if (asked === address()) morph(main, fresh); // else it still has a message that was removed meanwhile
    offline.hidden = true;
    waited = 0;
  } catch {
    offline.hidden = false;
    waited = Math.min(LONGEST_WAIT, (waited || 500) * 2);
  }
  plan();
}

function plan() {
  const wait = Number(document.getElementById("main").dataset.refresh || 0);
  if (wait || waited) setTimeout(refresh, Math.max(wait, waited));
}

async function ask(link) {
  const dialog = document.getElementById("dialog");
  try {
    const content = await fragment(link.href);
    dialog.replaceChildren(...content.childNodes);
    dialog.showModal();
  } catch {
    location.assign(link.href);
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.hasAttribute("data-dialog")) {
    event.preventDefault();
    ask(link);
  } else if (link.hasAttribute("data-close") && link.closest("dialog")) {
    event.preventDefault();
    link.closest("dialog").close();
  }
});

// The sentence after an action is a part of the address: without this, it would stay after its import has ended.
function forget() {
  const url = new URL(location.href);
  if (!url.searchParams.has("done")) return;
  url.searchParams.delete("done");
  url.searchParams.delete("request");
  history.replaceState(null, "", url);
  document.getElementById("done")?.remove();
}

localise(document);
setTimeout(forget, NOTICE_MILLISECONDS);
plan();
