//! People are told what becomes of orders: a real receiver that fails, hangs, asks for rest
//! and comes back receives each thing once or more, in order, signed, and nothing else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use clock::Clock;
use domain::{
    notice::{ChannelKind, NewChannel, Topic},
    order::{FailurePolicy, State, plan::Strategy},
};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};
use notify::{Secrets, Sender, SenderConfig};
use secrecy::SecretString;
use serde_json::Value;
use service::Ending;
use sqlx::PgPool;
use store::{Keyring, Store};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::support::{App, caller, eventually, manual};

mod command;
mod receiver;

use receiver::{Answer, Receiver};

/// A key of 32 bytes.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const NEW: &str = "shop/web:2.0";
const BROKEN: &str = "shop/web:3.0--image-pull-error";

/// A sender at work. Dropping it kills it as a crash would.
struct Sending {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sending {
    fn start(store: &Store) -> Self {
        Self::start_with(store, config())
    }

    fn start_with(store: &Store, config: SenderConfig) -> Self {
        let stop = CancellationToken::new();
        let sender = Sender::new(store.clone(), Clock::default(), config).unwrap();
        let task = tokio::spawn(sender.run(Arc::new(Notify::new()), stop.clone()));
        Self { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(crate::support::DEADLINE, self.task).await.unwrap().unwrap();
    }

    fn kill(self) {
        self.task.abort();
    }
}

fn config() -> SenderConfig {
    SenderConfig {
        answer_within: Duration::from_secs(1),
        claim: Duration::from_secs(3),
        stop_within: Duration::from_secs(2),
        console: Some("https://sluice.example.org/".into()),
        ..SenderConfig::default()
    }
}

async fn channel(app: &App, name: &str, kind: ChannelKind, url: &str, wanted: (&[Topic], &[&str])) {
    let applications: Vec<String> = wanted.1.iter().map(|it| (*it).to_owned()).collect();
    let channel = NewChannel::read(name, kind, wanted.0, &[], &applications).unwrap();
    let secret = match kind {
        ChannelKind::Webhook => Some(SecretString::from(SECRET)),
        ChannelKind::Dingtalk => Some(SecretString::from("SECrobot")),
        ChannelKind::Slack => None,
    };
    app.service.create_channel(&channel, &url.to_owned().into(), secret.as_ref()).await.unwrap();
}

async fn webhook(app: &App, name: &str, receiver: &Receiver) {
    channel(app, name, ChannelKind::Webhook, &receiver.url, (&[], &[])).await;
}

/// Makes all that waits due now, as if time had passed.
async fn make_due(pool: &PgPool) {
    sqlx::query("UPDATE notification SET next_at = now() WHERE outcome IS NULL")
        .execute(pool)
        .await
        .unwrap();
}

/// Tries a channel, without waiting for what comes of it.
async fn told(app: &App, name: &str) {
    let mut tx = app.store.begin().await.unwrap();
    tx.try_channel(name, app.clock.now()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

fn types(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().map(|body| body["type"].as_str().unwrap()).collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn releases_are_told_in_order_and_signed_to_whoever_asked_for_them(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let app = app.tolerating(FailurePolicy { grace_seconds: 0, ..FailurePolicy::default() });
    let (all, few, other) =
        (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    webhook(&app, "all", &all).await;
    channel(&app, "few", ChannelKind::Webhook, &few.url, (&[Topic::Failed], &["w*"])).await;
    channel(&app, "other", ChannelKind::Webhook, &other.url, (&[], &["api-*", "web2"])).await;
    let sending = Sending::start(&app.store);

    let application = app.create("web", 3).await;
    let order = app.deploy(application, NEW, manual(3)).await;
    app.confirm(order, 2).await;
    app.confirm(order, 3).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let failing = app.deploy(application, BROKEN, Strategy::ALL_AT_ONCE).await;
    let failed = app.end_of(failing).await;
    assert_eq!(failed.state, State::Failed);
    let stopped = eventually(async || {
        let order = app
            .service
            .deploy(&caller(), crate::support::release(application, "shop/web:4.0", manual(3)))
            .await;
        order.map_err(|error| error.to_string())
    })
    .await;
    app.order_when(stopped, |it| it.state == State::WaitingConfirmation).await;
    app.service.abort(&caller(), stopped).await.unwrap();

    let wanted = [
        "order.succeeded",
        "order.waiting",
        "order.waiting",
        "order.succeeded",
        "order.failed",
        "order.rolled_back",
        "order.waiting",
        "order.aborted",
    ];
    let received = all.bodies_when(|bodies| bodies.len() >= wanted.len()).await;
    assert_eq!(types(&received), wanted);
    let waits = &received[1]["data"];
    assert_eq!(waits["order"], order.to_string());
    assert_eq!((&waits["batch"], &waits["batches"]), (&1.into(), &3.into()));
    assert_eq!(received[2]["data"]["batch"], 2);
    let link = format!("https://sluice.example.org/console/orders/{order}");
    assert_eq!(waits["link"], link);
    let fails = &received[4]["data"];
    assert_eq!((&fails["application"], &fails["namespace"]), (&"web".into(), &"default".into()));
    assert_eq!(fails["cause"], failed.message);
    let cause = fails["cause"].as_str().unwrap();
    assert!(cause.contains("ErrImagePull"), "{cause}");
    assert_eq!(received[5]["data"]["rolls_back"], failing.to_string());
    for request in all.requests() {
        request.verify(SECRET);
    }
    let few = few.bodies_when(|bodies| !bodies.is_empty()).await;
    assert_eq!(types(&few), ["order.failed"]);
    assert_eq!(other.requests().len(), 0, "it asked for other applications");
    let listed = app.service.told_of(failing).await.unwrap();
    assert!(listed.iter().all(|it| it.outcome == Some(Ending::Delivered)), "{listed:?}");
    assert_eq!(listed.len(), 2, "two channels, and the rollback is another order: {listed:?}");
    sending.stop().await;
    let events: Api<Event> = Api::namespaced(app.client.clone(), &app.namespace);
    let wanted = [
        ("ChangeOrderAborted", 1),
        ("ChangeOrderBegan", 5),
        ("ChangeOrderFailed", 1),
        ("ChangeOrderSucceeded", 3),
        ("ChangeOrderWaits", 3),
    ];
    eventually(async || {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for event in events.list(&ListParams::default()).await.unwrap() {
            let reason = event.reason.unwrap_or_default();
            if reason.starts_with("ChangeOrder") {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let found: Vec<_> =
            reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_channel_opens_with_the_key_that_it_was_sealed_anew_with(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let receiver = Receiver::start().await;
    webhook(&app, "ops", &receiver).await;
    told(&app, "ops").await;
    let text = Keyring::new_line().unwrap().to_string();
    let both: Keyring = format!("{text} {}", test_support::keyring::TEXT).parse().unwrap();
    assert_eq!(Store::on(pool.clone(), both).rewrap().await.unwrap().values, 2);
    let claim = Duration::from_millis(1);
    let old = app.store.claim_notifications(8, claim).await.unwrap().remove(0).unwrap_err();
    assert!(old.error.to_string().contains("the keyring lacks"), "{old:?}");
    let new = Store::on(pool.clone(), text.parse().unwrap());
    let sending = Sending::start(&new);
    receiver.requests_when(1).await[0].verify(SECRET);
    sending.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_receiver_that_fails_and_hangs_receives_the_same_when_it_is_back_and_holds_no_other_up(
    pool: PgPool,
) {
    let app = App::start(pool.clone()).await;
    let (bad, good) = (Receiver::start().await, Receiver::start().await);
    webhook(&app, "bad", &bad).await;
    webhook(&app, "good", &good).await;
    bad.answers(Answer::Status(500));
    let sending = Sending::start(&app.store);
    told(&app, "bad").await;
    bad.requests_when(1).await;
    // It is not asked again before its time.
    let waiting = eventually(async || {
        let last = app.service.channel("bad").await.unwrap().last;
        last.ok_or_else(|| "nothing is noted".to_owned())
    })
    .await;
    assert!(waiting.error.contains("answered 500: out of order"), "{waiting:?}");
    let waits = "SELECT next_at > now() - interval '1 minute' AND attempts = 1 FROM notification n JOIN notification_channel c ON c.id = n.channel_id WHERE c.name = 'bad'";
    assert!(sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap(), "{waiting:?}");

    bad.answers(Answer::Hang);
    make_due(&pool).await;
    bad.requests_when(2).await;
    for number in 1..=3 {
        told(&app, "good").await;
        good.requests_when(number).await;
    }
    eventually(async || {
        let last = app.service.channel("bad").await.unwrap().last.unwrap();
        if last.error.contains("does not answer in time") { Ok(()) } else { Err(last.error) }
    })
    .await;
    bad.answers(Answer::Status(204));
    make_due(&pool).await;
    let requests = bad.requests_when(3).await;
    let ids: Vec<&str> = requests.iter().map(|it| it.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.starts_with("msg_")), "{ids:?}");
    eventually(async || {
        let channel = app.service.channel("bad").await.unwrap();
        if channel.waiting == 0 { Ok(()) } else { Err(format!("{channel:?}")) }
    })
    .await;
    sending.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_receiver_is_left_alone_as_long_as_it_asks_and_for_good_when_it_is_gone(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let receiver = Receiver::start().await;
    webhook(&app, "ops", &receiver).await;
    receiver.answers(Answer::Rest(600));
    let sending = Sending::start(&app.store);
    told(&app, "ops").await;
    let last = eventually(async || {
        let last = app.service.channel("ops").await.unwrap().last;
        last.ok_or_else(|| "nothing is noted".to_owned())
    })
    .await;
    let rest = last.at.duration_since(app.clock.now()).as_secs();
    assert!((590..=600).contains(&rest), "{rest} s");

    receiver.answers(Answer::Status(410));
    make_due(&pool).await;
    let channel = eventually(async || {
        let channel = app.service.channel("ops").await.unwrap();
        if channel.enabled { Err(format!("{channel:?}")) } else { Ok(channel) }
    })
    .await;
    assert_eq!(channel.last.unwrap().outcome, Some(Ending::GivenUp));
    let entry: (String, String) = sqlx::query_as(
        "SELECT operation, object FROM audit_entry WHERE operation LIKE '%disable%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(entry, ("sluice:disable_channel".into(), "channel/ops".into()));
    app.create("web", 1).await;
    let channel = app.service.channel("ops").await.unwrap();
    assert_eq!(channel.waiting, 0, "one that is disabled is told nothing");
    sending.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_a_killed_sender_had_in_hand_is_sent_by_another_once_its_claim_is_over(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let receiver = Receiver::start().await;
    webhook(&app, "ops", &receiver).await;
    receiver.answers(Answer::Hang);
    let long = SenderConfig { answer_within: Duration::from_secs(60), ..config() };
    let first = Sending::start_with(&app.store, long);
    told(&app, "ops").await;
    receiver.requests_when(1).await;
    first.kill();
    receiver.answers(Answer::Status(200));
    let second = Sending::start(&app.store);
    let third = Sending::start(&app.store);
    let requests = receiver.requests_when(2).await;
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    eventually(async || {
        let channel = app.service.channel("ops").await.unwrap();
        if channel.waiting == 0 { Ok(()) } else { Err(format!("{channel:?}")) }
    })
    .await;
    assert_eq!(receiver.requests().len(), 2, "one of two senders has it");
    second.stop().await;
    third.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_was_not_committed_is_told_to_nobody(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let receiver = Receiver::start().await;
    webhook(&app, "ops", &receiver).await;
    let mut tx = app.store.begin().await.unwrap();
    tx.try_channel("ops", app.clock.now()).await.unwrap().unwrap();
    drop(tx);
    // An order that is refused is none: the application has one that waits.
    let application = app.create("web", 3).await;
    let order = app.deploy(application, NEW, manual(3)).await;
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    app.service
        .deploy(&caller(), crate::support::release(application, BROKEN, manual(3)))
        .await
        .unwrap_err();
    let sending = Sending::start(&app.store);
    let bodies = receiver.bodies_when(|bodies| bodies.len() >= 2).await;
    assert_eq!(types(&bodies), ["order.succeeded", "order.waiting"]);
    sending.stop().await;
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notification WHERE outcome IS NULL")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(waiting, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn chats_receive_their_own_shape_and_a_robot_that_refuses_in_a_good_answer_is_asked_again(
    pool: PgPool,
) {
    let app = App::start(pool.clone()).await;
    let (slack, robot) = (Receiver::start().await, Receiver::start().await);
    channel(&app, "slack", ChannelKind::Slack, &slack.url, (&[], &[])).await;
    let url = format!("{}?access_token=geheim-token", robot.url);
    channel(&app, "robot", ChannelKind::Dingtalk, &url, (&[], &[])).await;
    robot.answers(Answer::Body(r#"{"errcode":310000,"errmsg":"sign not match geheim-token"}"#));
    let sending = Sending::start(&app.store);
    let application = app.create("web", 1).await;
    assert_eq!(
        app.service.newest_order(application).await.unwrap().unwrap().state,
        State::Succeeded
    );
    let text = slack.requests_when(1).await[0].body["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("*The creation of web (namespace default, "), "{text}");
    let request = robot.requests_when(1).await.remove(0);
    assert_eq!(request.body["msgtype"], "markdown");
    assert_eq!(request.query("access_token"), "geheim-token");
    let signed = format!("{}\nSECrobot", request.query("timestamp"));
    assert_eq!(
        request.query("sign"),
        STANDARD.encode(receiver::hmac(b"SECrobot", signed.as_bytes()))
    );
    let last = eventually(async || {
        let last = app.service.channel("robot").await.unwrap().last;
        last.ok_or_else(|| "nothing is noted".to_owned())
    })
    .await;
    assert_eq!((last.outcome, last.error.as_str()), (None, "the robot answered errcode 310000"));
    robot.answers(Answer::Body(r#"{"errcode":0,"errmsg":"ok"}"#));
    make_due(&pool).await;
    robot.requests_when(2).await;
    eventually(async || {
        let last = app.service.channel("robot").await.unwrap().last.unwrap();
        if last.outcome == Some(Ending::Delivered) { Ok(()) } else { Err(format!("{last:?}")) }
    })
    .await;
    sending.stop().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_channel_goes_where_it_was_told_to_and_a_redirect_leads_nowhere(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    webhook(&app, "ops", &receiver).await;
    receiver.answers(Answer::Redirect(elsewhere.url.clone()));
    let sending = Sending::start(&app.store);
    told(&app, "ops").await;
    let last = eventually(async || {
        let last = app.service.channel("ops").await.unwrap().last;
        last.ok_or_else(|| "nothing is noted".to_owned())
    })
    .await;
    assert!(last.error.contains("answered 307"), "{last:?}");
    assert_eq!(elsewhere.requests().len(), 0);
    // Nobody listens there any more.
    receiver.stop();
    make_due(&pool).await;
    eventually(async || {
        let last = app.service.channel("ops").await.unwrap().last.unwrap();
        let fits = last.error.contains("cannot be reached") && !last.error.contains("hook");
        if fits { Ok(()) } else { Err(last.error) }
    })
    .await;
    sending.stop().await;
    let made = Secrets::made().unwrap();
    assert!(made.newest().starts_with("whsec_"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_is_older_than_a_week_is_forgotten_whether_or_not_it_was_delivered(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let receiver = Receiver::start().await;
    webhook(&app, "ops", &receiver).await;
    for _ in 0..3 {
        told(&app, "ops").await;
    }
    let old = "UPDATE notification SET written_at = now() - interval '8 days' WHERE id = (SELECT min(id) FROM notification)";
    sqlx::query(old).execute(&pool).await.unwrap();
    let sending = Sending::start(&app.store);
    receiver.requests_when(2).await;
    sending.stop().await;
    assert_eq!(receiver.requests().len(), 2);
    assert!(!app.store.prune_notifications().await.unwrap());
}
