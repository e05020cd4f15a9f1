'use strict';
// The generic ROA client: HMAC-SHA1 signatures, verb and path given by the caller.
const { ROAClient } = require('@alicloud/pop-core');
const { goThrough } = require('../node/flows');

goThrough({
  client: '@alicloud/pop-core',
  version: require('@alicloud/pop-core/package.json').version,
  connect(secret) {
    const client = new ROAClient({
      accessKeyId: process.env.ACCESS_KEY_ID,
      accessKeySecret: secret,
      endpoint: `http://${process.env.ENDPOINT}`,
      apiVersion: '2017-08-01',
    });
    return (operation, verb, path, query) => client.request(verb, path, query, '', {}, { timeout: 10000 });
  },
  statusOf: (error) => error.statusCode,
});
