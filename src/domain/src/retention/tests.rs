use super::*;

/// This many days after some day.
fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + number * 86_400).unwrap()
}

fn order(kind: Kind, created: i64) -> PastOrder {
    PastOrder {
        id: OrderId::new(),
        kind,
        state: State::Succeeded,
        created_at: day(created),
        finished_at: Some(day(created)),
        finalizing: false,
        changed: kind != Kind::ObjectWrite,
        rolls_back: None,
        release: None,
    }
}

fn version(released: i64) -> PastVersion {
    PastVersion {
        id: ReleaseId::new(),
        created_at: day(released),
        released_at: Some(day(released)),
    }
}

/// An application that was created on day 0 and had a release each day until the last.
fn released_daily(days: i64) -> Past {
    let versions: Vec<PastVersion> = (0..=days).map(version).collect();
    let orders = versions.iter().zip(0..).map(|(version, at)| PastOrder {
        release: Some(version.id),
        ..order(if at == 0 { Kind::Create } else { Kind::Deploy }, at)
    });
    Past {
        current: versions.last().map(|version| version.id),
        gone_at: None,
        orders: orders.collect(),
        versions: versions.clone(),
    }
}

fn ids(orders: &[PastOrder]) -> Vec<OrderId> {
    orders.iter().map(|order| order.id).collect()
}

#[test]
fn orders_that_ended_long_ago_go_and_their_versions_with_them() {
    let past = released_daily(100);
    let goes = superfluous(&past, Some(day(50)), Some(10), 1000);
    assert_eq!(goes.orders, ids(&past.orders[1..50]), "the order that created it stays");
    let versions: Vec<ReleaseId> = past.versions[1..50].iter().map(|it| it.id).collect();
    assert_eq!(goes.versions, versions, "what an order on record names stays");
}

#[test]
fn where_all_is_kept_nothing_goes() {
    let past = released_daily(100);
    assert!(superfluous(&past, None, None, 1000).is_empty());
    assert!(superfluous(&past, None, Some(10), 1000).is_empty(), "every version is named");
    let goes = superfluous(&past, Some(day(50)), None, 1000);
    assert_eq!((goes.orders.len(), goes.versions.len()), (49, 0));
}

#[test]
fn while_an_order_is_open_nothing_goes_however_old_it_is() {
    let mut past = released_daily(100);
    past.orders.push(PastOrder { finished_at: None, ..order(Kind::Rollback, 2) });
    assert!(superfluous(&past, Some(day(1000)), Some(10), 1000).is_empty());
    past.orders.pop();
    past.orders.push(PastOrder { finalizing: true, ..order(Kind::Deploy, 2) });
    assert!(superfluous(&past, Some(day(1000)), Some(10), 1000).is_empty());
}

#[test]
fn what_something_stands_on_stays_however_old_it_is() {
    let failed = |kind, at| PastOrder { state: State::Failed, ..order(kind, at) };
    let refused = |at| PastOrder { changed: false, ..failed(Kind::Deploy, at) };
    for (orders, stay, why) in [
        (vec![order(Kind::Deploy, 1)], vec![0], "the newest"),
        (
            vec![order(Kind::Deploy, 1), order(Kind::Deploy, 2), refused(3), refused(4)],
            vec![1, 2, 3],
            "the one that wrote the Deployment last, and what came after it",
        ),
        (
            vec![order(Kind::Stop, 1), failed(Kind::Stop, 2), order(Kind::Deploy, 3)],
            vec![0, 1, 2],
            "the stop that succeeded, whose settings a start puts back",
        ),
        (
            vec![order(Kind::ObjectWrite, 1), order(Kind::ObjectWrite, 2), order(Kind::Deploy, 3)],
            vec![1, 2],
            "a write beside the Deployment: that there was one",
        ),
    ] {
        let past = Past { orders: orders.clone(), ..released_daily(0) };
        let goes = superfluous(&past, Some(day(1000)), None, 1000).orders;
        let left: Vec<usize> =
            (0..orders.len()).filter(|place| !goes.contains(&orders[*place].id)).collect();
        assert_eq!(left, stay, "{why}");
    }
    let past = Past { current: None, ..released_daily(100) };
    let goes = superfluous(&past, Some(day(1000)), None, 1000);
    assert!(goes.is_empty(), "no release has succeeded yet: {goes:?}");
}

#[test]
fn an_order_goes_only_together_with_the_one_that_rolled_it_back() {
    let mut past = released_daily(100);
    let rolled_back = past.orders[10].id;
    let rollback = |at| PastOrder { rolls_back: Some(rolled_back), ..order(Kind::Rollback, at) };
    past.orders.push(rollback(60));
    past.orders.push(order(Kind::Rollback, 99));
    let goes = superfluous(&past, Some(day(50)), None, 1000).orders;
    assert!(!goes.contains(&rolled_back) && goes.contains(&past.orders[11].id));
    let rollback = rollback(10);
    past.orders[101] = rollback.clone();
    // Also where a portion would end between the two.
    let goes = superfluous(&past, Some(day(50)), None, 10).orders;
    assert_eq!(goes.len(), 11);
    assert_eq!(goes[9..], [rolled_back, rollback.id]);
}

#[test]
fn versions_stay_that_are_current_or_among_the_newest_or_named() {
    let mut past = released_daily(100);
    past.orders.clear();
    let goes = |past: &Past, keep| superfluous(past, None, Some(keep), 1000).versions;
    assert_eq!(goes(&past, 20), past.versions[..81].iter().map(|it| it.id).collect::<Vec<_>>());
    assert_eq!(goes(&past, 0).len(), 91, "fewer than ten are never kept");
    // Released again lately, and the present one.
    past.versions[0].released_at = Some(day(101));
    past.current = Some(past.versions[1].id);
    past.orders = vec![PastOrder { release: Some(past.versions[2].id), ..order(Kind::Deploy, 2) }];
    let left = goes(&past, 20);
    assert!(past.versions[..3].iter().all(|it| !left.contains(&it.id)));
    assert!(left.contains(&past.versions[3].id) && left.len() == 79);
    // Never released to the end, and named by nothing any more.
    past.versions[50].released_at = None;
    past.versions[95].released_at = None;
    let left = goes(&past, 20);
    assert!(left.contains(&past.versions[50].id) && left.contains(&past.versions[95].id));
}

#[test]
fn the_first_version_stays_while_none_was_released() {
    let mut past = released_daily(3);
    past.orders.clear();
    past.current = None;
    past.versions.iter_mut().for_each(|version| version.released_at = None);
    let goes = superfluous(&past, None, Some(10), 1000).versions;
    assert_eq!(goes, past.versions[1..].iter().map(|it| it.id).collect::<Vec<_>>());
}

#[test]
fn of_an_application_that_was_deleted_long_ago_all_goes_and_its_versions_at_the_end() {
    let mut past = released_daily(100);
    past.orders.push(order(Kind::Delete, 101));
    past.gone_at = Some(day(101));
    let goes = superfluous(&past, Some(day(101)), Some(1000), 1000);
    assert!(!goes.orders.contains(&past.orders[100].id), "it was deleted lately: {goes:?}");
    let part = superfluous(&past, Some(day(102)), Some(1000), 60);
    assert_eq!(part, Superfluous { orders: ids(&past.orders[..60]), versions: Vec::new() });
    past.orders.drain(..60);
    let rest = superfluous(&past, Some(day(102)), None, 1000);
    assert_eq!((rest.orders.len(), rest.versions.len()), (42, 101));
}
