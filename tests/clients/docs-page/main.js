'use strict';
// The page at /docs, without a browser: what starts it is got from the server and run,
// and Swagger UI's own client makes the requests from the document, as the page does.
const vm = require('node:vm');
const SwaggerClient = require('swagger-client').default ?? require('swagger-client');
const { goThrough } = require('../node/flows');

const BASE = `http://${process.env.ENDPOINT}`;

/** What the page hands to Swagger UI: the document, and what happens to each request. */
async function startedPage() {
  const answer = await fetch(`${BASE}/docs/swagger-initializer.js`);
  if (answer.status !== 200) throw new Error(`the page is started by nothing: ${answer.status}`);
  const script = await answer.text();
  return new Promise((resolve, reject) => {
    const SwaggerUIBundle = Object.assign(resolve, { presets: {} });
    const page = { window: {}, location: { href: `${BASE}/docs/` }, SwaggerUIBundle, fetch, crypto, URL, TextEncoder, TextDecoder, atob };
    vm.runInNewContext(script, page);
    page.window.onload().catch(reject);
  });
}

const page = startedPage();

goThrough({
  client: 'swagger-client',
  version: require('swagger-client/package.json').version,
  connect(secret) {
    const authorized = { AccessKey: { username: process.env.ACCESS_KEY_ID, password: secret } };
    return async (operationId, verb, path, parameters) => {
      const { spec, requestInterceptor } = await page;
      try {
        const reply = await SwaggerClient.execute({
          contextUrl: `${BASE}/docs/`, spec, operationId, parameters, securities: { authorized }, requestInterceptor,
        });
        return reply.body;
      } catch (error) {
        error.code = error.response?.body?.Code;
        throw error;
      }
    };
  },
  statusOf: (error) => error.status,
});
