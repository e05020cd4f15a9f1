// The console's only script. Every page works without it, but for signing in with a key:
// it signs there, keeps an order's page live, reads lists again, and sends a form once.
'use strict';

const utf8 = new TextEncoder();
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
const sha256 = async (text) => hex(await crypto.subtle.digest('SHA-256', utf8.encode(text)));
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const visible = () => document.visibilityState === 'visible' ? Promise.resolve()
  : new Promise((done) => document.addEventListener('visibilitychange', done, { once: true })).then(visible);

// --- signing in: the secret signs here, and is sent nowhere ---

async function signed(path, id, secret) {
  const algorithm = 'ACS3-HMAC-SHA256';
  const digest = await sha256('');
  const headers = {
    host: location.host,
    'x-acs-content-sha256': digest,
    'x-acs-date': new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    'x-acs-signature-nonce': crypto.randomUUID(),
  };
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('');
  const canonical = ['POST', path, '', lines, names.join(';'), digest].join('\n');
  const key = await crypto.subtle.importKey('raw', utf8.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const signature = hex(await crypto.subtle.sign('HMAC', key, utf8.encode(`${algorithm}\n${await sha256(canonical)}`)));
  const { host, ...sent } = headers;
  sent.Authorization = `${algorithm} Credential=${id},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return fetch(path, { method: 'POST', headers: sent });
}

function signIn(form) {
  const problem = document.getElementById('sign-in-problem');
  const secret = document.getElementById('key-secret');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.textContent = '';
    if (!globalThis.crypto?.subtle) {
      problem.textContent = 'This browser signs over HTTPS and on localhost only: open the console in one of these ways.';
      return;
    }
    try {
      const reply = await signed('/sluice/v1/console/session', document.getElementById('key-id').value.trim(), secret.value.trim());
      if (reply.ok) {
        secret.value = '';
        location.assign(form.dataset.next);
        return;
      }
      const told = await reply.json().catch(() => ({}));
      problem.textContent = reply.status === 403 || reply.status === 404 || reply.status === 400
        ? `Not signed in: the key or its secret is wrong, or it may not be used. (${told.Code ?? reply.status})`
        : `Not signed in. ${told.Message ?? reply.status}`;
    } catch {
      problem.textContent = 'The server does not answer. Try again.';
    }
  });
}

// --- a form is sent once ---

document.addEventListener('submit', (event) => {
  if (event.defaultPrevented || event.target.method !== 'post') return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = 'yes';
});
// The page may come back as it was left.
addEventListener('pageshow', () => document.querySelectorAll('[data-sent]').forEach((form) => delete form.dataset.sent));

// --- parts that are replaced, while what a person does in them stays ---

function replace(old, html) {
  if (old.dataset.html === html) return;
  const part = new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;
  if (!part || old.outerHTML === part.outerHTML) { old.dataset.html = html; return; }
  for (const details of old.querySelectorAll('details[id]')) {
    const now = part.querySelector(`#${CSS.escape(details.id)}`);
    if (now) now.open = details.open;
  }
  for (const field of old.querySelectorAll('input[id], select[id]')) {
    const now = part.querySelector(`#${CSS.escape(field.id)}`);
    if (now && field.value !== (field.defaultValue ?? field.value)) now.value = field.value;
  }
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const place = active && { id: active.id, summary: active.parentElement?.id, from: active.selectionStart, to: active.selectionEnd };
  // The sentence stays where it is, so that it is read out when it changes.
  const said = old.querySelector('#said'), saying = part.querySelector('#said');
  if (said && saying) {
    if (said.textContent !== saying.textContent) said.replaceChildren(...saying.childNodes);
    saying.replaceWith(said);
  }
  part.dataset.html = html;
  old.replaceWith(part);
  if (!place) return;
  const focus = (place.id && document.getElementById(place.id)) || (place.summary && document.querySelector(`#${CSS.escape(place.summary)} > summary`));
  focus?.focus({ preventScroll: true });
  if (focus?.setSelectionRange && place.from != null && focus.type === 'text') focus.setSelectionRange(place.from, place.to);
}

// --- an order's page, live ---

async function follow(root) {
  const bar = document.createElement('p');
  bar.className = 'live-bar';
  const word = document.createElement('span');
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'quiet';
  bar.append(button, word);
  root.after(bar);
  let paused = false, stream = null, wake = () => {};
  const label = () => { button.textContent = paused ? 'Go on updating' : 'Pause updates'; };
  label();
  button.addEventListener('click', () => { paused = !paused; label(); stream?.abort(); wake(); });
  document.addEventListener('visibilitychange', () => { if (document.visibilityState !== 'visible') stream?.abort(); });
  for (let delay = 500; ;) {
    await visible();
    if (paused) { word.textContent = 'Paused.'; await new Promise((done) => { wake = done; }); continue; }
    stream = new AbortController();
    try {
      const reply = await fetch(root.dataset.live, { signal: stream.signal, headers: { 'x-sluice-part': '1' } });
      if (reply.status === 401) { location.reload(); return; }
      if (!reply.ok) throw new Error(reply.status);
      word.textContent = 'Live.';
      const over = await read(reply.body, () => { delay = 500; });
      if (over) { bar.remove(); return; }
    } catch { /* It is asked again below. */ }
    if (paused || document.visibilityState !== 'visible') continue;
    word.textContent = 'Connecting again …';
    await wait(delay * (0.7 + 0.6 * Math.random()));
    delay = Math.min(delay * 2, 60000);
  }
}

// Reads messages until the stream ends; true where nothing more will come.
async function read(body, arrived) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ''; ;) {
    const { value, done } = await reader.read();
    if (done) return false;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split('\n');
      if (lines.includes('event: signed-out')) { location.reload(); return true; }
      const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
      if (!data) continue;
      arrived();
      const message = JSON.parse(data);
      document.title = `${message.title} · Sluice`;
      for (const [id, html] of Object.entries(message.parts)) {
        const old = document.getElementById(id);
        if (old) replace(old, html);
      }
      if (message.over) return true;
    }
  }
}

// --- lists, read again while they are looked at ---

async function reload(list) {
  for (;;) {
    await wait(5000);
    await visible();
    const reply = await fetch(location.href, { headers: { 'x-sluice-part': '1' } }).catch(() => null);
    if (reply?.status === 401) { location.reload(); return; }
    if (!reply?.ok) continue;
    const page = new DOMParser().parseFromString(await reply.text(), 'text/html');
    const now = page.getElementById(list.id), old = document.getElementById(list.id);
    if (now && old && now.innerHTML !== old.innerHTML) { replace(old, now.outerHTML); document.title = page.title; }
  }
}

document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const search = document.querySelector('input[type=search]');
  if (search) { event.preventDefault(); search.focus(); }
});
const form = document.getElementById('sign-in');
if (form) signIn(form);
const live = document.querySelector('[data-live]');
if (live) follow(live);
const list = document.querySelector('[data-reload]');
if (list) reload(list);
