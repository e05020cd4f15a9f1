'use strict';
// A client of Node's, whichever it is, releases an application the ways its users do.
//
// Node has no package for EDAS: its clients are given verb and path, and hand back
// the reply as an object. Each flow goes by what that object says. A line of JSON
// on standard output tells which client this is, and one for each flow how it
// went. Ends with 0 only if all went well; a flow that failed is the last.
//
// Settings: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_NAME,
// NAMESPACE.
const assert = require('node:assert/strict');
const { setTimeout: pause } = require('node:timers/promises');

const SUCCESS = 2;
const ABORTED = 6;
const WAITS_FOR_CONFIRMATION = 8;
const FINAL = [2, 3, 6, 10];
const ORDER_DEADLINE = 90_000;
const POLL_INTERVAL = 200;

const REPLICAS = 4;
const SCALED_TO = 6;
const ENV = { name: 'GREETING', value: "b c/ü+~*&=!'()" };
const IN_THREE = JSON.stringify({ type: 'BatchUpdate', batchUpdate: { batch: 3, releaseType: 'manual' } });
const ONE_FIRST = JSON.stringify({
  type: 'GrayBatchUpdate',
  grayUpdate: { gray: 1 },
  batchUpdate: { batch: 2, releaseType: 'auto', batchWaitTime: 0 },
});

const OPERATIONS = {
  InsertK8sApplication: ['POST', '/pop/v5/k8s/acs/create_k8s_app'],
  DeployK8sApplication: ['POST', '/pop/v5/k8s/acs/k8s_apps'],
  GetChangeOrderInfo: ['POST', '/pop/v5/changeorder/change_order_info'],
  ContinuePipeline: ['GET', '/pop/v5/changeorder/pipeline_batch_confirm'],
  AbortAndRollbackChangeOrder: ['PUT', '/pop/v5/changeorder/change_order_abort_and_rollback'],
  ListHistoryDeployVersion: ['GET', '/pop/v5/app/deploy_history_version_list'],
  RollbackApplication: ['POST', '/pop/v5/changeorder/co_rollback'],
  GetApplication: ['POST', '/pop/v5/app/app_info'],
  ListApplication: ['POST', '/pop/v5/app/app_list'],
  GetK8sApplication: ['GET', '/pop/v5/changeorder/co_application'],
  ListRecentChangeOrder: ['POST', '/pop/v5/changeorder/change_order_list'],
  ScaleK8sApplication: ['PUT', '/pop/v5/k8s/acs/k8s_apps'],
  StopK8sApplication: ['POST', '/pop/v5/k8s/acs/stop_k8s_app'],
  StartK8sApplication: ['POST', '/pop/v5/k8s/acs/start_k8s_app'],
  RestartK8sApplication: ['POST', '/pop/v5/k8s/acs/restart_k8s_app'],
  DeleteK8sApplication: ['DELETE', '/pop/v5/k8s/acs/k8s_apps'],
};

const image = (version) => `shop/web:${version}`;
const batches = (info) => info.PipelineInfoList.PipelineInfo;
const stages = (batch) => batch.StageList?.StageInfoDTO ?? [];
const doneBatches = (info) => batches(info).filter((batch) => batch.PipelineStatus === SUCCESS).length;

/** How many pods each batch brought. */
const podsOfBatches = (info) =>
  batches(info).map((batch) => {
    const instances = stages(batch).flatMap((stage) => stage.StageResultDTO.InstanceDTOList?.InstanceDTO ?? []);
    return new Set(instances.map((instance) => instance.PodName)).size;
  });

/** The application under release, and what was done to it. */
class Shop {
  constructor(client) {
    this.client = client;
    this.send = client.connect(process.env.ACCESS_KEY_SECRET);
    this.name = process.env.APP_NAME;
    this.orders = []; // oldest first
  }

  /** The reply, which says success. */
  async call(operation, query) {
    const reply = await this.send(operation, ...OPERATIONS[operation], query);
    assert.deepEqual([reply.Code, reply.Message], [200, 'success'], operation);
    return reply;
  }

  async info(order) {
    const { changeOrderInfo: info } = await this.call('GetChangeOrderInfo', { ChangeOrderId: order });
    assert.equal(info.ChangeOrderId, order);
    return info;
  }

  /** Polls an order until `done` says so; fails at the deadline, and on an end that is not the one. */
  async follow(order, done) {
    assert.ok(order, 'there is no ChangeOrderId');
    const deadline = Date.now() + ORDER_DEADLINE;
    for (;;) {
      const info = await this.info(order);
      if (done(info)) return info;
      assert.ok(!FINAL.includes(info.Status), `order ${order} ended ${info.Status}`);
      assert.ok(Date.now() < deadline, `order ${order} is still ${info.Status} after ${ORDER_DEADLINE} ms`);
      await pause(POLL_INTERVAL);
    }
  }

  succeeds(order) {
    return this.follow(order, (info) => info.Status === SUCCESS);
  }

  /** The order, waiting for a person with so many batches done. */
  async waits(order, done) {
    const info = await this.follow(order, (now) => now.Status === WAITS_FOR_CONFIRMATION && doneBatches(now) === done);
    const begun = batches(info).slice(done).filter((batch) => stages(batch).length > 0);
    assert.equal(begun.length, 0, 'a batch that has not begun shows a stage');
    return info;
  }

  confirm(batch) {
    return this.call('ContinuePipeline', { PipelineId: batch.PipelineId, Confirm: true });
  }

  /** Orders a release and returns the order's id. */
  async deploy(version, parameters) {
    const query = { AppId: this.id, Image: image(version), PackageVersion: version, ...parameters };
    const { ChangeOrderId: order } = await this.call('DeployK8sApplication', query);
    this.orders.push(order);
    return order;
  }

  async whole() {
    return (await this.call('GetK8sApplication', { AppId: this.id, From: 'deploy' })).Applcation;
  }

  /** Fails where the application is said to be of another version. */
  async runs(version) {
    assert.equal((await this.whole()).ImageInfo.ImageUrl, image(version));
  }

  /** Asks for another number of instances, or other ones, and returns the order at its end. */
  async operate(operation, parameters, instances) {
    const { ChangeOrderId: order } = await this.call(operation, { AppId: this.id, ...parameters });
    const end = await this.succeeds(order);
    const { Applcation: one } = await this.call('GetApplication', { AppId: this.id });
    assert.equal(one.InstanceCount, instances);
    await this.runs('2.0');
    return end;
  }
}

const FLOWS = {
  async insert(shop) {
    const { ApplicationInfo: made } = await shop.call('InsertK8sApplication', {
      AppName: shop.name,
      Namespace: process.env.NAMESPACE,
      ClusterId: 'default',
      PackageType: 'Image',
      ImageUrl: image('1.0'),
      PackageVersion: '1.0',
      Replicas: REPLICAS,
    });
    assert.equal(made.AppName, shop.name);
    shop.id = made.AppId;
    shop.orders.push(made.ChangeOrderId);
    await shop.succeeds(made.ChangeOrderId);
  },

  async 'all at once'(shop) {
    const order = await shop.deploy('2.0', { Envs: JSON.stringify([ENV]), ChangeOrderDesc: 'second version' });
    const end = await shop.succeeds(order);
    assert.equal(end.BatchCount, 1);
    assert.deepEqual(podsOfBatches(end), [REPLICAS]);
    await shop.runs('2.0');
  },

  async 'phased, confirmed'(shop) {
    const order = await shop.deploy('3.0', { UpdateStrategy: IN_THREE });
    for (const done of [1, 2]) {
      await shop.confirm(batches(await shop.waits(order, done))[done]);
    }
    const end = await shop.succeeds(order);
    assert.equal(end.BatchType, 'Manual');
    assert.deepEqual(podsOfBatches(end), [1, 1, 2]);
    await shop.runs('3.0');
  },

  async canary(shop) {
    const order = await shop.deploy('4.0', { UpdateStrategy: ONE_FIRST });
    const waiting = await shop.waits(order, 1);
    assert.equal(podsOfBatches(waiting)[0], 1);
    await shop.confirm(batches(waiting)[0]);
    assert.deepEqual(podsOfBatches(await shop.succeeds(order)), [1, 1, 2]);
    await shop.runs('4.0');
  },

  async 'abort and roll back'(shop) {
    const order = await shop.deploy('5.0', { UpdateStrategy: IN_THREE });
    assert.equal((await shop.waits(order, 1)).SupportRollback, true);
    const rollback = (await shop.call('AbortAndRollbackChangeOrder', { ChangeOrderId: order })).Data.ChangeOrderId;
    shop.orders.push(rollback);
    assert.notEqual(rollback, order);
    await shop.succeeds(rollback);
    assert.equal((await shop.info(order)).Status, ABORTED);
    await shop.runs('4.0');
  },

  async 'roll back to a version'(shop) {
    const history = (await shop.call('ListHistoryDeployVersion', { AppId: shop.id })).PackageVersionList.PackageVersion;
    const chosen = history.find((one) => one.PackageVersion === '2.0' && one.AppId === shop.id);
    assert.ok(chosen, 'version 2.0 is not in the history');
    const { ChangeOrderId: order } = await shop.call('RollbackApplication', {
      AppId: shop.id,
      GroupId: 'all',
      HistoryVersion: chosen.PackageVersion,
      Batch: 2,
    });
    shop.orders.push(order);
    assert.deepEqual(podsOfBatches(await shop.succeeds(order)), [2, 2]);
    await shop.runs('2.0');
  },

  async read(shop) {
    const { Applcation: one, Application: twin } = await shop.call('GetApplication', { AppId: shop.id });
    assert.deepEqual([one.AppId, one.Name, one.ClusterType], [shop.id, shop.name, 5]);
    assert.deepEqual([twin.AppId, twin.Name, twin.ClusterType], [shop.id, shop.name, '5']);
    assert.deepEqual([one.InstanceCount, one.AppPhase], [REPLICAS, 'ready']);

    const listed = (await shop.call('ListApplication', {})).ApplicationList.Application.find((app) => app.AppId === shop.id);
    assert.deepEqual([listed.Name, listed.ClusterId, listed.ClusterType, listed.Instances], [shop.name, 'default', 5, REPLICAS]);

    const { App: whole } = await shop.whole();
    assert.deepEqual(
      [whole.ApplicationName, whole.ApplicationType, whole.Instances, whole.K8sNamespace],
      [shop.name, 'Image', REPLICAS, process.env.NAMESPACE],
    );
    const given = whole.EnvList.Env.map(({ Name: name, Value: value }) => ({ name, value }));
    assert.deepEqual(given, [ENV]);

    const recent = (await shop.call('ListRecentChangeOrder', { AppId: shop.id })).ChangeOrderList.ChangeOrder;
    assert.deepEqual(recent.map((order) => order.ChangeOrderId), [...shop.orders].reverse());
  },

  async refusals(shop) {
    const unknown = { ChangeOrderId: '00000000-0000-7000-8000-000000000000' };
    const reply = await shop.send('GetChangeOrderInfo', ...OPERATIONS.GetChangeOrderInfo, unknown);
    assert.equal(reply.Code, 601);
    assert.match(reply.Message, /does not exist/);

    const stranger = shop.client.connect('wrong');
    await assert.rejects(stranger('ListApplication', ...OPERATIONS.ListApplication, {}), (error) => {
      assert.deepEqual([shop.client.statusOf(error), error.code], [400, 'SignatureDoesNotMatch']);
      return true;
    });
  },

  async 'operate and delete'(shop) {
    await shop.operate('ScaleK8sApplication', { Replicas: SCALED_TO }, SCALED_TO);
    await shop.operate('StopK8sApplication', {}, 0);
    await shop.operate('StartK8sApplication', {}, SCALED_TO);
    assert.deepEqual(podsOfBatches(await shop.operate('RestartK8sApplication', {}, SCALED_TO)), [SCALED_TO]);

    await shop.succeeds((await shop.call('DeleteK8sApplication', { AppId: shop.id })).ChangeOrderId);
    const gone = await shop.send('GetApplication', ...OPERATIONS.GetApplication, { AppId: shop.id });
    assert.equal(gone.Code, 601);
    assert.match(gone.Message, /does not exist/);
    const listed = (await shop.call('ListApplication', {})).ApplicationList.Application;
    assert.ok(!listed.some((app) => app.AppId === shop.id), 'a deleted application is still listed');
  },
};

const tell = (line) => console.log(JSON.stringify(line));

/** Goes through the flows with `{client, version, connect(secret), statusOf(error)}`, then ends the program. */
exports.goThrough = async (client) => {
  tell({ client: client.client, version: client.version });
  const shop = new Shop(client);
  for (const [flow, run] of Object.entries(FLOWS)) {
    try {
      await run(shop);
    } catch (error) {
      tell({ flow, passed: false, why: error.stack });
      process.exit(1);
    }
    tell({ flow, passed: true });
  }
  process.exit(0); // connections that are kept alive would hold the program
};
