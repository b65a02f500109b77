// Keeps a page up to date: listens to what happens, asks for the page again and
// puts in what changed, where [data-live] is. What somebody is writing, the focus
// and the scroll position stay. Everything works without this, too.
const body = document.body, region = document.getElementById("live");
let seq = +body.dataset.seq, source, lost = 0, heard = Date.now(), due, took = 0, busy = false;
const clock = (t) => new Date(t).toISOString().slice(11, 19) + " UTC";
const span = (s) => s < 60 ? s + " s" : s < 3600 ? (s / 60 | 0) + " min " + s % 60 + " s" : (s / 3600 | 0) + " h " + (s % 3600 / 60 | 0) + " min";

const say = (text, seen) => {
  if (!region || region.textContent === text) return;
  region.className = seen ? "live is-seen" : "live unseen";
  region.textContent = text;
};
// A form in which somebody writes stays as it is.
addEventListener("input", (e) => { if (e.target.form) e.target.form.written = true; });
const written = (f) => f.written || f.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);

// morph makes one element like another, changing as little as can be.
const morph = (a, b) => {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName || a.nodeType === 1 && a.id !== b.id) return a.replaceWith(b);
  if (a.nodeType !== 1) { if (a.data !== b.data) a.data = b.data; return; }
  if (a.isEqualNode(b) || a.nodeName === "FORM" && written(a)) return;
  for (const { name } of [...a.attributes]) if (!b.hasAttribute(name) && name !== "open") a.removeAttribute(name);
  for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value && name !== "open") a.setAttribute(name, value);
  let at = a.firstChild;
  for (const n of [...b.childNodes]) {
    let m = at;
    if (n.id) for (m = at; m && m.id !== n.id; m = m.nextSibling);
    else if (m && m.id) m = null;
    if (!m) { a.insertBefore(n, at); continue; }
    if (m !== at && !m.contains(document.activeElement)) a.insertBefore(m, at);
    else if (m !== at) while (at && at !== m) { const x = at.nextSibling; at.remove(); at = x; }
    at = m.nextSibling;
    morph(m, n);
  }
  while (at) { const x = at.nextSibling; at.remove(); at = x; }
};

const refresh = async () => {
  if (busy) return later();
  busy = true;
  const began = Date.now();
  try {
    const r = await fetch(location.href, { cache: "no-store", redirect: "manual" });
    if (r.type === "opaqueredirect" || r.status === 401) return gone();
    if (!r.ok) return;
    const next = new DOMParser().parseFromString(await r.text(), "text/html");
    for (const a of document.querySelectorAll("[data-live]")) {
      const b = next.getElementById(a.id);
      if (b) morph(a, b);
    }
    seq = Math.max(seq, +next.body.dataset.seq);
    document.title = next.title;
  } catch {} finally {
    took = Date.now() - began;
    busy = false;
  }
};
const later = () => { due ||= setTimeout(() => { due = 0; document.hidden || refresh(); }, Math.max(150, 10 * took) + Math.random() * 200); };
const gone = () => { source && source.close(); source = null; say("You are signed out. Load the page again to sign in.", true); };
const lose = () => { if (!lost) { lost = heard; setTimeout(() => lost && say("Connection lost since " + clock(lost) + ". What you see may be old; trying again.", true), 1500); } };
const back = () => {
  heard = Date.now();
  if (!lost) return;
  say("Connected again after " + span(Math.round((heard - lost) / 1000)) + ".", true);
  lost = 0;
  later();
  setTimeout(() => lost || say("", false), 8000);
};
const about = (body.dataset.about || "").split(" ").filter(Boolean);

const listen = () => {
  source = new EventSource("/live?after=" + seq);
  source.onopen = back;
  source.onmessage = (m) => {
    back();
    seq = Math.max(seq, +m.lastEventId);
    const e = JSON.parse(m.data);
    if (about.length && !about.some((p) => e.subject.startsWith(p))) return;
    if (e.says && !lost) say(e.says, false);
    later();
  };
  source.addEventListener("refresh", (m) => { back(); seq = +m.lastEventId; later(); });
  source.addEventListener("beat", back);
  source.addEventListener("gone", gone);
  source.onerror = () => { lose(); if (source && source.readyState === 2) { source = null; setTimeout(listen, 3000); } };
};

if (region && document.querySelector("[data-live]") && body.dataset.seq > 0) {
  listen();
  setInterval(() => { // a connection that is neither dead nor alive
    if (source && Date.now() - heard > 25000) { source.close(); lose(); listen(); }
  }, 5000);
  setInterval(() => document.hidden || lost || later(), 60000);
  document.addEventListener("visibilitychange", () => document.hidden || later());
}
// Clocks run on between two looks, by the server's time.
const ahead = Date.now() - (+body.dataset.now || Date.now());
setInterval(() => {
  for (const e of document.querySelectorAll("[data-since]")) {
    const s = (Date.now() - ahead - e.dataset.since) / 1000 | 0;
    if (s >= 0 && s < 86400) e.textContent = span(s);
  }
}, 1000);
