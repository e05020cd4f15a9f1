//! What somebody may not do is not offered, and refused when it is asked for all the same.

use domain::{
    ApplicationId, OrderId,
    access::{Grant, Role, Scope},
    order::State,
};
use service::WantedKey;
use sqlx::PgPool;

use super::{Site, elements};
use crate::support::manual;

/// A release that waits for a person.
async fn waiting(pool: PgPool) -> (Site, ApplicationId, OrderId) {
    let site = Site::start(pool).await;
    let application = site.app.create("web", 4).await;
    let order = site.app.deploy(application, "shop/web:2.0", manual(2)).await;
    site.app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    (site, application, order)
}

fn role(role: Role) -> WantedKey {
    WantedKey { role: Some(Grant::role(role, Scope::default())), ..WantedKey::default() }
}

/// The addresses that the forms of a page are sent to, without signing out.
fn forms(html: &str) -> Vec<String> {
    let posts =
        elements(html).into_iter().filter(|it| it.name == "form" && it.of("method") == "post");
    posts.map(|it| it.of("action").to_owned()).filter(|it| !it.ends_with("sign-out")).collect()
}

fn links(html: &str, to: &str) -> usize {
    elements(html).iter().filter(|it| it.name == "a" && it.of("href").starts_with(to)).count()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_may_only_read_is_offered_nothing_to_do_and_a_forged_form_does_nothing(
    pool: PgPool,
) {
    let (mut site, application, order) = waiting(pool).await;
    let (of_order, of_application) =
        (format!("/console/orders/{order}"), format!("/console/apps/{application}"));
    let body = site.get(&of_order).await.body;
    assert_eq!(forms(&body).len(), 3, "whoever may do it has three buttons: {body}");
    site.becomes("rita", role(Role::Reader)).await;
    let body = site.get(&of_order).await.body;
    assert!(forms(&body).is_empty(), "{body}");
    assert!(body.contains("You may not do these here: continue, stop, roll back."), "{body}");
    assert!(body.contains("Needs somebody who may continue it"), "{body}");
    let mut live = site.stream(&format!("{of_order}/live")).await;
    let first = String::from_utf8(live.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.contains("You may not do these here") && !first.contains("<form"), "{first}");
    for list in ["/console/apps", "/console/orders", of_order.as_str(), of_application.as_str()] {
        let body = site.get(list).await.body;
        assert!(body.contains("needs somebody") && !body.contains("</span> needs you<"), "{body}");
    }
    let body = site.get(&of_application).await.body;
    assert!(forms(&body).is_empty() && links(&body, &format!("{of_application}/release")) == 0);
    assert!(!body.contains("Scale and restart") && body.contains("You may not release it"));
    let body = site.get(&format!("{of_application}?tab=operate")).await.body;
    assert!(forms(&body).is_empty(), "{body}");
    let batch = site.app.service.order(order).await.unwrap().batches[1].id.to_string();
    for (path, form) in [
        (format!("{of_order}/continue"), vec![("batch", batch.as_str())]),
        (format!("{of_order}/abort"), vec![]),
        (format!("{of_order}/roll-back"), vec![]),
        (format!("{of_order}/step-back"), vec![("stay", "1")]),
        (format!("{of_order}/retry"), vec![("batch", batch.as_str())]),
        (format!("{of_application}/operate"), vec![("what", "stop")]),
        (format!("{of_application}/operate"), vec![("what", "scale"), ("replicas", "1")]),
        (format!("{of_application}/release"), vec![("step", "preview"), ("image", "x:1")]),
        (format!("{of_application}/release"), vec![("step", "confirm"), ("image", "x:1")]),
    ] {
        let form = [&form[..], &[("nonce", "forged")]].concat();
        let reply = site.post(&path, &form).await;
        assert_eq!(reply.status, 403, "{path} {form:?}: {}", reply.body);
    }
    assert_eq!(site.get(&format!("{of_application}/release")).await.status, 403);
    let after = site.app.service.order(order).await.unwrap();
    assert_eq!(after.state, State::WaitingConfirmation, "nothing was done");
    let newest = site.app.service.newest_order(application).await.unwrap().unwrap();
    assert_eq!(newest.id, order, "and nothing ordered");
}

/// A name, the operations that somebody may do, and pages with their status.
type Allowed = (&'static str, &'static [&'static str], &'static [(&'static str, u16)]);

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_page_and_each_tab_needs_the_operation_that_shows_the_same(pool: PgPool) {
    let (mut site, application, order) = waiting(pool).await;
    let page = format!("/console/apps/{application}");
    let cases: &[Allowed] = &[
        (
            "orders",
            &["ListOrders"],
            &[
                ("/console", 303),
                ("/console/orders", 200),
                ("/console/apps", 403),
                ("/console/keys", 200),
                ("/console/channels", 403),
                ("/console/sessions", 200),
            ],
        ),
        (
            "pods",
            &["GetApplication", "DescribeAppInstanceList"],
            &[
                ("/console/orders", 403),
                ("{page}", 200),
                ("{page}?tab=pods", 200),
                ("{page}?tab=manifest", 403),
                ("{page}?tab=versions", 403),
                ("{page}?tab=orders", 403),
                ("{page}/release", 403),
                ("{order}", 403),
            ],
        ),
        (
            "one",
            &["GetOrder", "AbortAndRollbackChangeOrder"],
            &[("/console", 403), ("{page}", 403), ("{order}", 200), ("{order}/live", 403)],
        ),
    ];
    let me = service::Caller::of_commands();
    for (name, actions, pages) in cases {
        let actions: Vec<String> = actions.iter().map(|it| format!("\"edas:{it}\"")).collect();
        let document = format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":[{}],"Resource":"*"}}]}}"#,
            actions.join(",")
        );
        site.app.service.put_policy(&me, name, &document, false, |_| true).await.unwrap();
        let policy = Some((*name).to_owned());
        site.becomes(name, WantedKey { policy, ..WantedKey::default() }).await;
        for (path, status) in *pages {
            let path = path
                .replace("{page}", &page)
                .replace("{order}", &format!("/console/orders/{order}"));
            let reply = site.get(&path).await;
            assert_eq!(reply.status, *status, "{name} {path}: {}", reply.body);
            if reply.status == 200 {
                let (apps, orders) = (*name == "never", *name == "orders");
                let of_lists = (
                    links(&reply.body, "/console/apps?")
                        + usize::from(reply.body.contains("href=\"/console/apps\"")),
                    usize::from(reply.body.contains("href=\"/console/orders\"")),
                );
                assert_eq!(of_lists, (usize::from(apps), usize::from(orders)), "{name} {path}");
            }
        }
    }
    // Whoever may end the order by this one operation has its button, and no other.
    let body = site.get(&format!("/console/orders/{order}")).await.body;
    let path = format!("/console/orders/{order}/roll-back");
    assert_eq!(forms(&body), [path.as_str()], "{body}");
    let done = site.post(&path, &[("nonce", "n")]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(site.app.service.order(order).await.unwrap().state, State::Aborted);
}
