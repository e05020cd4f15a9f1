//! What belongs to an application beside what it runs: amounts of processor and memory,
//! and what is said of it for people.

use serde_json::json;

use crate::{Caller, Configure, Deploy, Describe, Error, PackageParams, Service, check};
use domain::{Input, OrderId, Rejection, order::Kind, template::spec::SpecChange};
use store::{Description, Event};

/// Seconds that new amounts may take (R23).
const CONFIGURE_TIMEOUT_SECONDS: i64 = 600;

impl Service {
    /// Orders other amounts of processor and memory: a release of what runs, all at once,
    /// which is rolled back automatically where it fails. It is a version of the history.
    ///
    /// # Errors
    /// As [`Service::deploy`], or where nothing is asked for.
    pub async fn configure(&self, caller: &Caller, request: Configure) -> Result<OrderId, Error> {
        check::seconds(Input::Timeout, request.timeout_seconds, 1)?;
        if request.spec == SpecChange::default() {
            let allowed = "at least one amount of processor or memory must be given (0 = none)";
            return Err(Rejection::invalid(Input::CpuLimit, "", allowed).into());
        }
        let application = self.permitted_application(request.application).await?;
        self.check_cluster_of(&application, request.cluster.as_deref()).await?;
        let request = Deploy {
            application: request.application,
            spec: request.spec,
            package: PackageParams::default(),
            release: None,
            version: None,
            replicas: None,
            strategy: None,
            batch_timeout_seconds: Some(
                request.timeout_seconds.unwrap_or(CONFIGURE_TIMEOUT_SECONDS),
            ),
            min_ready_seconds: None,
            description: "Update config".into(),
            notes: Vec::new(),
            plan_hash: None,
            allows_no_surge: false,
            template: None,
        };
        self.order_release(caller, request, Kind::Configure).await
    }

    /// Says something else of an application. No pod hears of it, and no order is made.
    ///
    /// # Errors
    /// A text that is too long, or an unknown application.
    pub async fn describe(&self, caller: &Caller, request: Describe) -> Result<(), Error> {
        let words = [
            (Input::Description, &request.description, 256),
            (Input::Owner, &request.owner, 128),
            (Input::Email, &request.email, 256),
            (Input::Phone, &request.phone, 64),
        ];
        for (input, text, most) in words {
            check::text(input, text.as_deref().unwrap_or_default(), most)?;
        }
        self.once(caller, "describe", |tx| {
            Box::pin(async {
                let (application, _) = tx.permitted_application(request.application).await?;
                let words = Description {
                    description: request.description.as_deref(),
                    owner: request.owner.as_deref(),
                    email: request.email.as_deref(),
                    phone: request.phone.as_deref(),
                };
                tx.describe_application(application.id, &words).await?;
                let changed: Vec<&str> = [
                    ("description", words.description),
                    ("owner", words.owner),
                    ("email", words.email),
                    ("phone", words.phone),
                ]
                .into_iter()
                .filter_map(|(name, word)| word.map(|_| name))
                .collect();
                let detail = json!({ "request": caller.request_id, "changed": changed });
                let event =
                    Event { actor: &caller.name, kind: "application.described", cause: "", detail };
                tx.add_event(application.id, None, self.clock.now(), event).await?;
                Ok(())
            })
        })
        .await
    }
}
