'use strict';
// The generic call of the Tea client: ACS3-HMAC-SHA256 signatures.
const { default: OpenApiClient, Config, OpenApiRequest, Params } = require('@alicloud/openapi-client');
const { RuntimeOptions } = require('@alicloud/tea-util');
const { goThrough } = require('../node/flows');

goThrough({
  client: '@alicloud/openapi-client',
  version: require('@alicloud/openapi-client/package.json').version,
  connect(secret) {
    const client = new OpenApiClient(new Config({
      accessKeyId: process.env.ACCESS_KEY_ID,
      accessKeySecret: secret,
      endpoint: process.env.ENDPOINT,
      protocol: 'http',
    }));
    return async (operation, verb, path, query) => {
      const params = new Params({
        action: operation,
        version: '2017-08-01',
        protocol: 'HTTP',
        pathname: path,
        method: verb,
        authType: 'AK',
        style: 'ROA',
        reqBodyType: 'json',
        bodyType: 'json',
      });
      const texts = Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]));
      const reply = await client.callApi(params, new OpenApiRequest({ query: texts }), new RuntimeOptions({}));
      return reply.body;
    };
  },
  statusOf: (error) => error.data.statusCode,
});
