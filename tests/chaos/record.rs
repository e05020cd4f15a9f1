//! Records what a life shows: every change of its Deployment and pods, by watches of their
//! own, and every row of its orders that is written, by triggers in the test's database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event},
};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};
use tokio::{sync::watch, task::JoinHandle};

use crate::checker::{Hand, Recording, Row, Seen, What};

const TRIGGERS: &str = "
    CREATE SCHEMA IF NOT EXISTS recording;
    CREATE TABLE IF NOT EXISTS recording.change (
        seq bigserial PRIMARY KEY, key text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
        began timestamptz NOT NULL DEFAULT now(), transaction text NOT NULL DEFAULT pg_current_xact_id()::text,
        source text NOT NULL, before jsonb, after jsonb NOT NULL
    );
    CREATE INDEX IF NOT EXISTS change_key ON recording.change (key);
    CREATE OR REPLACE FUNCTION recording.note() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        noted jsonb := to_jsonb(NEW) - 'template' - 'snapshot';
        earlier jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) - 'template' - 'snapshot' END;
    BEGIN
        INSERT INTO recording.change (key, source, before, after)
        VALUES (coalesce(noted->>'application_id', noted->>'order_id'), TG_TABLE_NAME, earlier, noted);
        RETURN NULL;
    END
    $$;
    CREATE OR REPLACE TRIGGER record AFTER INSERT OR UPDATE ON change_order FOR EACH ROW EXECUTE FUNCTION recording.note();
    CREATE OR REPLACE TRIGGER record AFTER INSERT OR UPDATE ON batch FOR EACH ROW EXECUTE FUNCTION recording.note();
    CREATE OR REPLACE TRIGGER record AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION recording.note();";

/// Databases of lives that are lived at the same time. In one database each notification would
/// wake the executors of all of them.
pub struct Databases {
    pools: Vec<PgPool>,
    owner: PgPool,
}

/// Copies the test's database, in which rows are recorded, so many times.
pub async fn databases(pool: PgPool, count: u64) -> Databases {
    let options = (*pool.connect_options()).clone();
    sqlx::raw_sql(TRIGGERS).execute(&pool).await.unwrap();
    // Nobody may be connected to what is copied.
    pool.close().await;
    let name = options.get_database().unwrap().to_owned();
    let owner = PgPoolOptions::new().max_connections(1);
    let owner = owner.connect_with(options.clone().database("postgres")).await.unwrap();
    let mut pools = Vec::new();
    for number in 0..count {
        // The test's own name is as long as a name may be.
        let copy = format!("chaos_{}_{number}", std::process::id());
        drop_database(&owner, &copy).await;
        let copied = format!("CREATE DATABASE \"{copy}\" TEMPLATE \"{name}\"");
        sqlx::raw_sql(sqlx::AssertSqlSafe(copied)).execute(&owner).await.unwrap();
        pools.push(
            PgPoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(options.clone().database(&copy)),
        );
    }
    Databases { pools, owner }
}

impl Databases {
    pub fn pools(&self) -> &[PgPool] {
        &self.pools
    }

    pub async fn end(self) {
        for pool in self.pools {
            let name = pool.connect_options().get_database().unwrap().to_owned();
            pool.close().await;
            drop_database(&self.owner, &name).await;
        }
        self.owner.close().await;
    }
}

async fn drop_database(owner: &PgPool, name: &str) {
    let dropped = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(dropped)).execute(owner).await.unwrap();
}

/// The rows of an application that were written, oldest first; they are recorded no longer.
pub async fn rows(pool: &PgPool, application: &str) -> Vec<Row> {
    let orders: Vec<String> =
        sqlx::query_scalar("SELECT id::text FROM change_order WHERE application_id::text = $1")
            .bind(application)
            .fetch_all(pool)
            .await
            .unwrap();
    let keys: Vec<String> = orders.into_iter().chain([application.to_owned()]).collect();
    let rows = sqlx::query(
        "WITH taken AS (DELETE FROM recording.change WHERE key = ANY($1) RETURNING *)
         SELECT transaction, source, before, after, (extract(epoch FROM at) * 1000000)::bigint AS at,
             (extract(epoch FROM began) * 1000000)::bigint AS began FROM taken ORDER BY seq",
    )
    .bind(keys)
    .fetch_all(pool)
    .await
    .unwrap();
    let row = |row: sqlx::postgres::PgRow| Row {
        at: row.get("at"),
        began: row.get("began"),
        transaction: row.get("transaction"),
        table: row.get("source"),
        before: row.get::<Option<Value>, _>("before").map(opened),
        after: opened(row.get("after")),
    };
    rows.into_iter().map(row).collect()
}

/// A row with the change that an order is about to make, which is sealed in the database.
/// It is opened here by the form that the documents give, and not by the engine.
fn opened(mut row: Value) -> Value {
    let sealed = row["intent"].as_str().and_then(|text| hex::decode(text.get(2..)?).ok());
    if let (Some(sealed), Some(order)) = (sealed, row["id"].as_str()) {
        // A byte for the form, eight for the id of the key, and the nonce.
        let (nonce, rest) = sealed[9..].split_first_chunk::<24>().unwrap();
        let place = format!("sluice\0change_order\0intent\0{order}");
        let payload = Payload { msg: rest, aad: place.as_bytes() };
        let cipher = XChaCha20Poly1305::new(&[0; 32].into());
        let clear = cipher.decrypt(&XNonce::from(*nonce), payload).unwrap();
        row["intent"] = serde_json::from_slice(&clear).unwrap();
    }
    row
}

#[derive(Default)]
struct Taken {
    seen: Vec<Seen>,
    /// The pods and Deployments that are there, for those that are gone after a new list.
    there: HashMap<String, Value>,
    newest: u64,
}

/// Watches the Deployments and pods of a namespace.
pub struct Recorder {
    taken: Arc<Mutex<Taken>>,
    count: watch::Receiver<u64>,
    tasks: [JoinHandle<()>; 2],
}

impl Recorder {
    pub fn start(client: Client, namespace: &str) -> Self {
        let taken = Arc::<Mutex<Taken>>::default();
        let (sender, count) = watch::channel(0);
        let sender = Arc::new(sender);
        let tasks = [
            tokio::spawn(follow(
                Api::<Deployment>::namespaced(client.clone(), namespace),
                "Deployment",
                taken.clone(),
                sender.clone(),
            )),
            tokio::spawn(follow(
                Api::<Pod>::namespaced(client, namespace),
                "Pod",
                taken.clone(),
                sender,
            )),
        ];
        Self { taken, count, tasks }
    }

    /// Waits until so many more changes were seen.
    pub async fn see(&self, more: u64) {
        let mut count = self.count.clone();
        let wanted = *count.borrow_and_update() + more;
        let _ = count.wait_for(|count| *count >= wanted).await;
    }

    pub fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// Notes what another hand is about to do, behind what a version of the cluster shows.
    pub fn tell(&self, version: u64, hand: Hand) {
        let (at, what) = (Timestamp::now().as_microsecond(), What::Hand(hand));
        self.taken.lock().unwrap().seen.push(Seen { version, at, what });
    }

    /// Waits until the Deployment is seen as a version of it shows it, or later.
    pub async fn saw(&self, version: u64) {
        let mut count = self.count.clone();
        let saw = || {
            self.taken
                .lock()
                .unwrap()
                .seen
                .iter()
                .any(|it| it.version >= version && matches!(it.what, What::Deployment(_)))
        };
        while !saw() {
            if count.changed().await.is_err() {
                return;
            }
        }
    }

    /// Everything that was seen, in the cluster's order, with `rows`.
    pub fn end(self, rows: Vec<Row>) -> Recording {
        self.tasks.iter().for_each(JoinHandle::abort);
        let mut seen = std::mem::take(&mut self.taken.lock().unwrap().seen);
        seen.sort_by_key(|seen| seen.version);
        Recording { seen, rows }
    }
}

async fn follow<K>(
    api: Api<K>,
    kind: &'static str,
    taken: Arc<Mutex<Taken>>,
    count: Arc<watch::Sender<u64>>,
) where
    K: kube::Resource + Clone + std::fmt::Debug + Send + Serialize + 'static,
    K: serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let mut events = watcher::watcher(api, watcher::Config::default()).boxed();
    let mut listed: HashMap<String, Value> = HashMap::new();
    while let Some(event) = events.next().await {
        // A watch that broke goes on by itself.
        let Ok(event) = event else { continue };
        let mut taken = taken.lock().unwrap();
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                let object = serde_json::to_value(&object).unwrap();
                listed.insert(key(kind, &object), object.clone());
                taken.take(kind, object, false, false);
            }
            Event::InitDone => {
                let gone: Vec<String> = taken
                    .there
                    .keys()
                    .filter(|key| key.starts_with(kind) && !listed.contains_key(*key))
                    .cloned()
                    .collect();
                for key in gone {
                    let object = taken.there[&key].clone();
                    taken.take(kind, object, true, true);
                }
            }
            Event::Apply(object) => {
                taken.take(kind, serde_json::to_value(&object).unwrap(), false, false);
            }
            Event::Delete(object) => {
                taken.take(kind, serde_json::to_value(&object).unwrap(), true, false);
            }
        }
        drop(taken);
        count.send_modify(|count| *count += 1);
    }
}

fn key(kind: &str, object: &Value) -> String {
    format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
}

impl Taken {
    fn take(&mut self, kind: &'static str, object: Value, gone: bool, missed: bool) {
        let told: u64 = object["metadata"]["resourceVersion"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        // What went while nobody watched went at some time before the newest change.
        let version = if missed { self.newest } else { told };
        self.newest = self.newest.max(version);
        let at = Timestamp::now().as_microsecond();
        if gone {
            self.there.remove(&key(kind, &object));
        } else if self.there.insert(key(kind, &object), object.clone()).as_ref() == Some(&object) {
            return;
        }
        self.seen.push(Seen::of(kind, version, at, &object, gone));
    }
}
