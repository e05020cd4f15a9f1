//! What whoever may not do something is answered: one well-formed call of every operation,
//! for every kind of caller. None of them changes a row or the cluster. The table of the
//! operations says what each is done to; an operation without a line in it does not compile.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::{
    reading::Live,
    sign::{Key, Unsigned},
    wrong::{
        rows,
        value::{ALSO, Described, Known, described, well},
        writes,
    },
    *,
};
use crate::wire::offered::{Object, Offer};
use domain::access::{Grant, Group, Role, Scope};
use store::NewKey;

mod planted;

const SECRET: &str = "its-secret";

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Nobody: the request is not signed.
    NoKey,
    UnknownKey,
    WrongSecret,
    Disabled,
    Expired,
    /// Signed 16 minutes ago.
    Stale,
    /// With the nonce of another request.
    Replayed,
    /// The key may not be used with this signature scheme.
    OtherScheme,
    /// The key may not be used from this address.
    OtherNetwork,
    /// May do everything in another namespace.
    OtherNamespace,
    /// May read everything in the namespace.
    Reader,
    /// May release another application of the namespace.
    OtherDeployer,
    /// Has a key, and nothing is granted.
    NothingGranted,
    /// May do `edas:ManageAccess` on everything, and nothing else.
    AccessManager,
}

const ALL: &[Who] = &[
    Who::NoKey,
    Who::UnknownKey,
    Who::WrongSecret,
    Who::Disabled,
    Who::Expired,
    Who::Stale,
    Who::Replayed,
    Who::OtherScheme,
    Who::OtherNetwork,
    Who::OtherNamespace,
    Who::Reader,
    Who::OtherDeployer,
    Who::NothingGranted,
    Who::AccessManager,
];

impl Who {
    fn key(self) -> Key<'static> {
        let id = match self {
            Self::NoKey | Self::Stale | Self::Replayed => return server::KEY,
            Self::WrongSecret => return Key { secret: "another", ..server::KEY },
            Self::UnknownKey => "nobodys",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::OtherScheme => "scheme",
            Self::OtherNetwork => "network",
            Self::OtherNamespace => "other-namespace",
            Self::Reader => "reader",
            Self::OtherDeployer => "other-deployer",
            Self::NothingGranted => "nothing",
            Self::AccessManager => "access-manager",
        };
        Key { id, secret: SECRET }
    }

    /// What is granted to it, where the key is one that this test makes.
    fn granted(self) -> Option<Option<(Role, &'static str, &'static str)>> {
        match self {
            Self::NoKey | Self::UnknownKey | Self::WrongSecret | Self::Stale | Self::Replayed => {
                None
            }
            Self::Disabled | Self::Expired | Self::OtherScheme | Self::OtherNetwork => {
                Some(Some((Role::Admin, "*", "*")))
            }
            Self::OtherNamespace => Some(Some((Role::Operator, "shop", "*"))),
            Self::Reader => Some(Some((Role::Reader, "default", "*"))),
            Self::OtherDeployer => Some(Some((Role::Deployer, "default", "api"))),
            Self::NothingGranted | Self::AccessManager => Some(None),
        }
    }
}

/// What a caller must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// This status and code word.
    Word(u16, &'static str),
    /// Exactly what an id gets that there is not.
    Unknown,
    /// 200, without anything of the application.
    ShownWithout,
    /// What it asked for.
    Shown,
}

const FORBIDDEN: Answer = Answer::Word(403, "Forbidden.RAM");

/// Operations of groups in which some change something, and that are not claimed by their
/// nonce: they read, or may be done again, and this test's changes nothing.
const UNCLAIMED: &[&str] = &[
    "GetAccessKey",
    "GetPolicy",
    "GetPrincipal",
    "ImportK8sCluster",
    "ListAccessKeys",
    "ListPolicies",
    "ListPrincipals",
    "PreviewDeployment",
    "StartK8sAppPrecheck",
];

fn expected(offer: &Offer, who: Who) -> Answer {
    let reads = matches!(
        offer.group,
        Group::ReadApplication | Group::ReadCluster | Group::ReadNamespace | Group::ReadConfig
    );
    match who {
        Who::NoKey => Answer::Word(400, "IncompleteSignature"),
        Who::UnknownKey => Answer::Word(404, "InvalidAccessKeyId.NotFound"),
        Who::WrongSecret => Answer::Word(400, "SignatureDoesNotMatch"),
        Who::Disabled | Who::Expired => Answer::Word(400, "InvalidAccessKeyId.Inactive"),
        Who::Stale => Answer::Word(400, "InvalidTimeStamp.Expired"),
        Who::OtherScheme => Answer::Word(400, "InvalidSignatureMethod"),
        Who::OtherNetwork | Who::NothingGranted | Who::AccessManager => FORBIDDEN,
        Who::Replayed if reads || UNCLAIMED.contains(&offer.operation) => Answer::Shown,
        Who::Replayed if offer.object == Object::Server => Answer::Shown,
        Who::Replayed => Answer::Word(400, "SignatureNonceUsed"),
        Who::Reader => match offer.group {
            Group::ReadApplication | Group::ReadCluster | Group::ReadNamespace => Answer::Shown,
            _ => FORBIDDEN,
        },
        Who::OtherDeployer | Who::OtherNamespace => match (offer.group, offer.object) {
            // What a deployer may not do anywhere is not judged by what it is done to.
            (Group::ManageApplication, _)
                if who == Who::OtherDeployer && !deploys(offer.operation) =>
            {
                FORBIDDEN
            }
            (Group::ManageHolds, _) => FORBIDDEN,
            (Group::ReadConfig | Group::ManageConfig, _) if who == Who::OtherDeployer => FORBIDDEN,
            (Group::ReadConfig, Object::Beside(_)) => Answer::ShownWithout,
            (Group::ReadCluster | Group::ReadNamespace, _) => Answer::Shown,
            (_, Object::Application | Object::Order | Object::Batch) => Answer::Unknown,
            (Group::ReadApplication, Object::Applications) => Answer::ShownWithout,
            (Group::ManageApplication, Object::Applications) => Answer::Unknown,
            (_, Object::Server) => Answer::Shown,
            _ => FORBIDDEN,
        },
    }
}

fn deploys(operation: &str) -> bool {
    let action = offered::offer(operation).unwrap().action();
    let policy = Role::Deployer.policy(&Scope::default());
    let site = domain::access::Site { region: "", cluster: "", protected: &[] };
    let circumstances = domain::access::Circumstances {
        peer: [127, 0, 0, 1].into(),
        encrypted: true,
        now: Timestamp::UNIX_EPOCH,
    };
    domain::access::Access::of([&policy], &site, &circumstances).may(action)
}

/// Keys for those who call.
async fn keys(live: &Live) {
    let store = Store::on(live.server.pool.clone(), test_support::keyring::keyring());
    let now = live.server.clock.now();
    for who in ALL {
        let (id, Some(granted)) = (who.key().id, who.granted()) else { continue };
        let mut tx = store.begin().await.unwrap();
        let principal = tx.insert_principal(id, "program", now).await.unwrap().unwrap();
        if let Some((role, namespace, application)) = granted {
            let scope = Scope::read(namespace, application).unwrap();
            tx.add_grant(principal, &Grant::role(role, scope), now).await.unwrap();
        }
        if *who == Who::AccessManager {
            let document = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"edas:ManageAccess","Resource":"*"}]}"#;
            tx.put_policy(id, document, false, now).await.unwrap();
            tx.add_grant(principal, &service::policy_named(id), now).await.unwrap();
        }
        let (schemes, networks) = (["hmac-sha1".to_owned()], ["192.0.2.0/24".to_owned()]);
        let key = NewKey {
            id,
            secret: &SecretString::from(SECRET),
            name: id,
            expires_at: (*who == Who::Expired).then(|| now - SignedDuration::from_secs(1)),
            schemes: if *who == Who::OtherScheme { &schemes } else { &[] },
            networks: if *who == Who::OtherNetwork { &networks } else { &[] },
        };
        assert!(tx.insert_key(principal, &key, now).await.unwrap());
        if *who == Who::Disabled {
            tx.switch_key(id, false).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// What is sent besides, so that a call would be served.
const BESIDES: &[(&str, &str, &str)] = &[
    ("DeleteUserDefineRegion", "Id", "1"),
    (
        "UpdateK8sIngressRule",
        "IngressConf",
        r#"{"rules":[{"host":"shop.example","paths":[{"backend":{"serviceName":"web","servicePort":80}}]}]}"#,
    ),
];

/// A well-formed call.
struct Call {
    path: String,
    parameters: Vec<(String, String)>,
}

impl Call {
    fn of(operation: &Described, known: &Known) -> Self {
        let required = operation.parameters.iter().filter(|it| it.required);
        let required = required.map(|it| it.name.as_str()).filter(|name| *name != "id");
        let also = ALSO.iter().filter(|(name, _)| *name == operation.name);
        let names = required.chain(also.map(|(_, parameter)| *parameter));
        let besides = BESIDES.iter().filter(|(name, ..)| *name == operation.name);
        let besides = besides.map(|(_, name, value)| ((*name).to_owned(), (*value).to_owned()));
        let value = |name: &str| (name.to_owned(), well(&operation.name, name, known));
        Self {
            path: operation.path.replace("{id}", &known.order),
            parameters: names.map(value).chain(besides).collect(),
        }
    }
}

async fn send(
    live: &Live,
    method: &str,
    call: &Call,
    who: Option<Who>,
) -> (StatusCode, Map<String, Value>) {
    let parameters: Vec<(&str, &str)> =
        call.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let nonce = match who {
        Some(Who::Replayed) => "replayed".to_owned(),
        _ => uuid::Uuid::now_v7().to_string(),
    };
    let minutes = if who == Some(Who::Stale) { 16 } else { 0 };
    let date = live.server.clock.now() - SignedDuration::from_mins(minutes);
    let unsigned =
        Unsigned { method, path: &call.path, parameters: &parameters, date, nonce: Some(&nonce) };
    let takes_form = contract::find(&method.parse().unwrap(), &call.path).is_some_and(|it| it.form);
    let key = who.map_or(server::KEY, Who::key);
    let mut signed = if takes_form { unsigned.acs3_form(key) } else { unsigned.acs3(key) };
    if who == Some(Who::NoKey) {
        signed.headers.retain(|(name, _)| *name != "authorization");
    }
    live.server.send(method, &signed).await
}

/// The reply without what is another one each time.
fn said(reply: &Map<String, Value>) -> String {
    let mut reply = reply.clone();
    reply.remove("RequestId");
    serde_json::to_string(&reply).unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_may_not_do_it_is_refused_and_nothing_changes(pool: PgPool) {
    let mut live = Live::start(pool).await;
    // Strangers are not slowed down here: that is another test's.
    let rates = edge::throttle::Rates { of_peer: 0, of_key: 0, failures: 0 };
    let settings = EdgeConfig { rates, ..EdgeConfig::default() };
    live.server.router = router(service_on(live.server.pool.clone()), settings);
    let application = live.create().await;
    let one = async |sql: &'static str| -> String {
        sqlx::query_scalar(sql).fetch_one(&live.server.pool).await.unwrap()
    };
    let (order, batch) =
        (one("SELECT id::text FROM change_order").await, one("SELECT id::text FROM batch").await);
    let template: Value = live
        .server
        .call("POST", "/pop/v5/config_template", &[("Name", "kept"), ("Content", "{}")])
        .await
        .into();
    let template = template["Data"]["Id"].to_string();
    keys(&live).await;
    sqlx::query("INSERT INTO nonce (key_id, nonce, digest, outcome, seen_at) VALUES ($1, 'replayed', 'other', NULL, now())")
        .bind(server::KEY.id)
        .execute(&live.server.pool)
        .await
        .unwrap();
    let nobodys = uuid::Uuid::now_v7().to_string();
    let known = Known { application, order, batch, template };
    let unknown = Known {
        application: nobodys.clone(),
        order: nobodys.clone(),
        batch: nobodys.clone(),
        template: "999".into(),
    };
    live.settle(&known.application).await;
    let (before, writes_before) = (rows(&live).await, writes(&live));
    let mut wrong = Vec::new();
    let operations = described();
    for operation in &operations {
        let offer = offered::offer(&operation.name).unwrap();
        // A stream has no end here; that it ends with its key is another test's.
        let streams = operation.name == "WatchOrder";
        let call = Call::of(operation, &known);
        let of_nobody = Call::of(operation, &unknown);
        for who in ALL {
            let expected = expected(offer, *who);
            if streams && expected == Answer::Shown {
                continue;
            }
            let (status, reply) = send(&live, &operation.method, &call, Some(*who)).await;
            let text = said(&reply);
            let fits = match expected {
                Answer::Word(wanted, code) => {
                    status.as_u16() == wanted && reply["Code"] == code && !text.contains("4 pods")
                }
                Answer::Unknown => {
                    let (_, like) = send(&live, &operation.method, &of_nobody, None).await;
                    let mut like = said(&like);
                    for id in [&known.application, &known.order, &known.batch] {
                        if text.contains(id.as_str()) {
                            like = like.replace(&nobodys, id);
                            break;
                        }
                    }
                    text.contains("does not exist") && text == like
                }
                Answer::ShownWithout => {
                    status == StatusCode::OK
                        && reply["Code"] == 200
                        && !text.contains(&known.application)
                        && !text.contains("\"web\"")
                }
                // What is wrong with it is another test's.
                Answer::Shown => status == StatusCode::OK,
            };
            if !fits {
                wrong.push(format!(
                    "{} by {who:?} must be answered {expected:?}: {status} {text:.300}",
                    operation.name
                ));
            }
        }
        let after = rows(&live).await;
        for (table, row) in &after {
            // That somebody asked whether it can work is no change.
            if before[table] != *row && table != "precheck_request" && table != "cluster_query" {
                wrong.push(format!("{}: the table {table} changed", operation.name));
            }
        }
        if writes(&live) != writes_before {
            wrong.push(format!("{}: the cluster changed", operation.name));
        }
        if wrong.len() > 30 {
            break;
        }
    }
    assert!(wrong.is_empty(), "{} mistakes:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(operations.len(), offered::OFFERS.len());
}
