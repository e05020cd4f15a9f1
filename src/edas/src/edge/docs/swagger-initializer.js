// Starts the page at /docs: Swagger UI, which signs in the browser what it sends.
//
// "Authorize" asks for an access key as user name and password. No request carries
// them, and nothing keeps them: each request is signed with them (ACS3-HMAC-SHA256),
// as SDKs do it. Browsers have the cryptography for that over HTTPS and on localhost.
'use strict';

const SCHEME = 'AccessKey';
const ALGORITHM = 'ACS3-HMAC-SHA256';
const utf8 = new TextEncoder();

const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

// As RFC 3986 has it: encodeURIComponent leaves some characters alone that it reserves.
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

async function hmac(key, text) {
  const signer = await crypto.subtle.importKey('raw', utf8.encode(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return hex(await crypto.subtle.sign('HMAC', signer, utf8.encode(text)));
}

// What Swagger UI made of user name and password, taken back.
function keyOf(authorization) {
  const bytes = Uint8Array.from(atob(authorization.slice('Basic '.length)), (char) => char.charCodeAt(0));
  const text = new TextDecoder().decode(bytes);
  const colon = text.indexOf(':');
  return { id: text.slice(0, colon).trim(), secret: text.slice(colon + 1).trim() };
}

async function sign(request) {
  const given = request.headers?.Authorization ?? '';
  if (!given.startsWith('Basic ')) return request;
  if (!globalThis.crypto?.subtle) throw new Error('This browser signs requests over HTTPS and on localhost only: open the page in one of these ways.');
  const { id, secret } = keyOf(given);
  const url = new URL(request.url, location.href);
  const pairs = [...url.searchParams].map(([name, value]) => [encode(name), encode(value)]);
  const query = pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map((pair) => pair.join('=')).join('&');
  const digest = hex(await crypto.subtle.digest('SHA-256', utf8.encode(request.body == null ? '' : String(request.body))));
  const signed = {
    host: url.host,
    'x-acs-content-sha256': digest,
    'x-acs-date': new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    'x-acs-signature-nonce': crypto.randomUUID(),
    'x-acs-version': '2017-08-01',
  };
  const names = Object.keys(signed).sort();
  const lines = names.map((name) => `${name}:${signed[name]}\n`).join('');
  const canonical = [(request.method ?? 'GET').toUpperCase(), url.pathname, query, lines, names.join(';'), digest].join('\n');
  const text = `${ALGORITHM}\n${hex(await crypto.subtle.digest('SHA-256', utf8.encode(canonical)))}`;
  const { host, ...sent } = signed;
  Object.assign(request.headers, sent, {
    Authorization: `${ALGORITHM} Credential=${id},SignedHeaders=${names.join(';')},Signature=${await hmac(secret, text)}`,
  });
  request.url = `${url.origin}${url.pathname}${query && `?${query}`}`;
  return request;
}

// The document says how requests are signed; here a key is asked for instead.
function asksForKey(spec) {
  const description = 'User name: the id of an access key. Password: its secret. The page signs with them, and sends neither.';
  spec.components.securitySchemes = { [SCHEME]: { type: 'http', scheme: 'basic', description } };
  for (const operation of Object.values(spec.paths).flatMap((verbs) => Object.values(verbs))) {
    if (operation.security) operation.security = [{ [SCHEME]: [] }];
  }
  return spec;
}

window.onload = async () => {
  const spec = asksForKey(await (await fetch(new URL('/openapi.json', location.href))).json());
  window.ui = SwaggerUIBundle({
    spec,
    dom_id: '#swagger-ui',
    deepLinking: true,
    docExpansion: 'none',
    filter: true,
    presets: [SwaggerUIBundle.presets.apis],
    requestInterceptor: sign,
  });
};
