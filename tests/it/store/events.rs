//! Events, read on from a position.

use store::{EventPosition, PlacedEvent};

use super::*;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn events_are_read_since_a_position_also_where_the_earlier_number_commits_later(
    pool: PgPool,
) {
    let store = Store::on(pool, test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let event = |kind: &'static str| Event {
        actor: "tests",
        kind,
        cause: "",
        detail: serde_json::json!({}),
    };
    let kinds = |events: &[PlacedEvent]| -> Vec<String> {
        events.iter().map(|it| it.event.kind.clone()).collect()
    };
    // The first takes the lower number, and is still open when the second has committed.
    let mut first = store.begin().await.unwrap();
    first.add_event(web, None, now(), event("first")).await.unwrap();
    let mut second = store.begin().await.unwrap();
    second.add_event(web, None, now(), event("second")).await.unwrap();
    second.commit().await.unwrap();
    let before = store.events_since(EventPosition::default(), 100).await.unwrap();
    assert_eq!(
        kinds(&before).iter().filter(|kind| *kind == "second").count(),
        0,
        "not before the first"
    );
    first.commit().await.unwrap();

    // Other databases of the server may have transactions open, too.
    let all = eventually(async || {
        let all = store.events_since(EventPosition::default(), 100).await.unwrap();
        if all.len() < 2 { Err(format!("{all:?}")) } else { Ok(all) }
    })
    .await;
    assert_eq!(kinds(&all), ["first", "second"]);
    assert_eq!(all[0].application, web);
    // One after the other, from a position that was kept as text.
    let one = store.events_since(EventPosition::default(), 1).await.unwrap();
    let kept: EventPosition = one[0].position.to_string().parse().unwrap();
    assert_eq!(kinds(&store.events_since(kept, 100).await.unwrap()), ["second"]);
    assert_eq!(store.events_since(all[1].position, 100).await.unwrap(), []);
    for text in ["", "1", "1-", "-1-1", "1--1", "x-1", "18446744073709551616-1"] {
        assert!(text.parse::<EventPosition>().is_err(), "{text}");
    }
}
