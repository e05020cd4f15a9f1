//! What is old is deleted, once and completely; what somebody may need stays, and so does the
//! record of events.

use domain::{
    ApplicationId, OrderId, Rejection,
    order::{Kind, State, plan::Strategy},
    retention::Retention,
};
use service::{RollBackTo, Service};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use store::{Forgotten, Store};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{App, CLUSTER, caller, manual, settings};

const YEAR: Retention = Retention { order_days: Some(400), versions: Some(10) };

async fn forget(app: &App) -> Forgotten {
    app.service.forget_old(&YEAR, &CancellationToken::new()).await.unwrap()
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn refused(pool: &PgPool, sql: &str) -> String {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await;
    done.err().map(|error| error.to_string()).unwrap_or_else(|| panic!("{sql} was not refused"))
}

async fn count(pool: &PgPool, of: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {of}"));
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// Makes everything on record of applications 500 days older.
async fn age(pool: &PgPool) {
    run(
        pool,
        "ALTER TABLE change_order DISABLE TRIGGER keep_final_state;
         UPDATE change_order SET created_at = created_at - interval '500 days', finished_at = finished_at - interval '500 days';
         ALTER TABLE change_order ENABLE TRIGGER keep_final_state;
         UPDATE release SET created_at = created_at - interval '500 days', released_at = released_at - interval '500 days';
         UPDATE application SET deleted_at = deleted_at - interval '500 days'",
    )
    .await;
}

/// As many deployments of before, each with its version and three events.
async fn before(pool: &PgPool, application: ApplicationId, orders: i32) {
    sqlx::query(
        "WITH made AS (
             INSERT INTO release (id, application_id, version, image, description, created_at, template, released_at)
             SELECT gen_random_uuid(), $1, 'before-' || n, 'shop/web:0', '', now() - interval '999 days' + n * interval '1 minute', r.template,
                 now() - interval '999 days' + n * interval '1 minute'
             FROM generate_series(1, $2) AS n, (SELECT template FROM release WHERE application_id = $1 AND template IS NOT NULL LIMIT 1) AS r
             RETURNING id, created_at
         ), ordered AS (
             INSERT INTO change_order (id, application_id, cluster_id, kind, state, step, step_since, strategy, target, release_id, description,
                 created_at, created_by, source, finished_at, run_after)
             SELECT gen_random_uuid(), $1, '', 'deploy', 'succeeded', 'done', m.created_at, o.strategy, o.target, m.id, '',
                 m.created_at, 'tester', 'api', m.created_at, m.created_at
             FROM made m, (SELECT strategy, target FROM change_order WHERE application_id = $1 LIMIT 1) AS o
             RETURNING id
         ) INSERT INTO event (at, application_id, order_id, actor, kind, cause)
           SELECT now(), $1, id, 'tester', 'order.accepted', '' FROM ordered, generate_series(1, 3)",
    )
    .bind(application.0)
    .bind(orders)
    .execute(pool)
    .await
    .unwrap();
}

/// An application that was released so often, long ago.
async fn released(app: &App, pool: &PgPool, times: usize) -> (ApplicationId, Vec<OrderId>) {
    let application = app.create("web", 2).await;
    let mut orders = Vec::new();
    for number in 0..times {
        let image = format!("shop/web:1.{number}");
        let order = app.deploy(application, &image, Strategy::ALL_AT_ONCE).await;
        assert_eq!(app.end_of(order).await.state, State::Succeeded);
        orders.push(order);
    }
    age(pool).await;
    (application, orders)
}

/// Numbers on record of what was deleted: orders, events, versions.
async fn recorded(pool: &PgPool) -> [u64; 3] {
    let objects: Vec<String> = sqlx::query_scalar(
        "SELECT object FROM audit_entry WHERE operation = 'sluice:forget_old' AND principal = 'sluice' AND source = 'system' AND outcome = 'done'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut sums = [0; 3];
    for object in objects {
        let (application, numbers) = object.split_once(' ').unwrap();
        assert!(application.starts_with("namespace/default/application/"), "{object}");
        for (sum, number) in sums.iter_mut().zip(numbers.split(' ')) {
            *sum += number.split_once('/').unwrap().1.parse::<u64>().unwrap();
        }
    }
    sums
}

fn numbers(done: Forgotten) -> [u64; 3] {
    [done.orders, done.events, done.versions]
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_is_old_goes_and_what_is_needed_to_go_back_stays(pool: PgPool) {
    let mut app = App::start(pool.clone()).await;
    let (application, orders) = released(&app, &pool, 13).await;
    let mut events = 0;
    for order in &orders[..12] {
        events += app.store.events(*order).await.unwrap().len() as u64;
    }
    let done = forget(&app).await;
    // The order that created it stays with its version, and so do the newest and the ten newest versions.
    assert_eq!(numbers(done), [12, events, 3]);
    assert_eq!(recorded(&pool).await, numbers(done));
    assert_eq!(forget(&app).await, Forgotten::default(), "once");
    assert_eq!((count(&pool, "change_order").await, count(&pool, "release").await), (2, 11));
    let orphans = count(&pool, "event WHERE order_id NOT IN (SELECT id FROM change_order)").await;
    assert_eq!(orphans, 0);
    for gone in &orders[..12] {
        let error = app.service.order(*gone).await.unwrap_err();
        let unknown = Rejection::UnknownOrder(gone.to_string());
        assert_eq!(error.to_string(), unknown.to_string());
    }
    assert_eq!(app.service.recent_orders(application).await.unwrap().len(), 2);
    let kept = app.service.order(orders[12]).await.unwrap();
    assert!(kept.state == State::Succeeded && kept.can_roll_back, "{kept:#?}");
    // The one before can be gone back to, by the order itself and by the history.
    let back = app.service.roll_back(&caller(), orders[12]).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    let history = app.service.history(application).await.unwrap();
    assert_eq!(history.len(), 11);
    let version = history.last().unwrap().version.clone();
    let again = RollBackTo { application, version, batches: None, wait_minutes: None };
    let again = app.service.roll_back_to(&caller(), again).await.unwrap();
    assert_eq!(app.end_of(again).await.state, State::Succeeded);
    // Whoever starts knows the order that the Deployment names.
    app.crash();
    app.known_namespace().await;
    let next = app.deploy(application, "shop/web:5.0", Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(next).await.state, State::Succeeded);
    assert_eq!(app.store.moved_on(&CLUSTER.into()).await.unwrap(), []);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_order_that_is_open_for_a_year_stays_and_what_it_came_after(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, _) = released(&app, &pool, 3).await;
    before(&pool, application, 20).await;
    let open = app.deploy(application, "shop/web:5.0", manual(2)).await;
    app.order_when(open, |it| it.state == State::WaitingConfirmation).await;
    run(&pool, "UPDATE change_order SET created_at = now() - interval '450 days' WHERE finished_at IS NULL")
        .await;
    assert_eq!(forget(&app).await, Forgotten::default());
    let back = app.service.roll_back(&caller(), open).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    // Nothing holds it up any more.
    assert!(forget(&app).await.orders > 20);
    assert_eq!(app.service.order(back).await.unwrap().rolls_back, Some(open));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn packages_stay_that_a_kept_version_or_an_open_order_names_and_others_may_go(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, _) = released(&app, &pool, 3).await;
    before(&pool, application, 20).await;
    let [old, new] = [Uuid::now_v7(), Uuid::now_v7()];
    for (package, version) in [(old, "before-1"), (new, "before-20")] {
        sqlx::query(
            "INSERT INTO stored_package (id, object_key, bytes, md5, sha256, capability, uploaded_by, created_at)
             VALUES ($1, $1::text, 1, repeat('0', 32), repeat('0', 64), '', 'ci', now() - interval '900 days')",
        )
        .bind(package)
        .execute(&pool)
        .await
        .unwrap();
        sqlx::query("UPDATE release SET packages = ARRAY[$1] WHERE version = $2")
            .bind(package)
            .bind(version)
            .execute(&pool)
            .await
            .unwrap();
    }
    let unnamed = async || {
        let found = app.store.unreleased_packages(app.clock.now(), None, 10).await.unwrap();
        found.into_iter().map(|id| id.0).collect::<Vec<_>>()
    };
    assert_eq!(unnamed().await, Vec::<Uuid>::new());
    forget(&app).await;
    assert_eq!(unnamed().await, [old]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn of_an_application_that_was_deleted_long_ago_only_its_name_stays(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, _) = released(&app, &pool, 3).await;
    let delete = app.service.delete(&caller(), application).await.unwrap();
    assert_eq!(app.end_of(delete).await.state, State::Succeeded);
    let done = forget(&app).await;
    assert_eq!((done.orders, done.versions), (2, 0), "it was deleted today");
    age(&pool).await;
    forget(&app).await;
    let left = [
        count(&pool, "change_order").await,
        count(&pool, "release").await,
        count(&pool, "event WHERE order_id IS NOT NULL").await,
        count(&pool, "application").await,
    ];
    assert_eq!(left, [0, 0, 0, 1]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_fault_between_two_portions_loses_nothing(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, orders) = released(&app, &pool, 3).await;
    before(&pool, application, 250).await;
    let all = count(&pool, "change_order").await;
    run(
        &pool,
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF OLD.release_id = (SELECT id FROM release WHERE version = 'before-150') THEN RAISE EXCEPTION 'the machine went down'; END IF;
             RETURN OLD;
         END $$;
         CREATE TRIGGER fault BEFORE DELETE ON change_order FOR EACH ROW EXECUTE FUNCTION fault()",
    )
    .await;
    let error = app.service.forget_old(&YEAR, &CancellationToken::new()).await.unwrap_err();
    assert!(format!("{error:?}").contains("the machine went down"), "{error:?}");
    // The first portion is gone and on record, and nothing of the second.
    let [gone, events, _] = recorded(&pool).await;
    assert_eq!((gone, events), (100, 300));
    assert_eq!(count(&pool, "change_order").await, all - 100);
    let whole = "change_order o WHERE created_at < now() - interval '900 days' AND (SELECT count(*) FROM event WHERE order_id = o.id) = 3";
    assert_eq!(count(&pool, whole).await, 150);
    run(&pool, "DROP TRIGGER fault ON change_order").await;
    let done = forget(&app).await;
    assert_eq!(done.orders, 152);
    assert_eq!(recorded(&pool).await[0], 252);
    assert!(app.service.order(orders[2]).await.is_ok());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn of_two_servers_one_looks_and_two_that_look_delete_it_once(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, _) = released(&app, &pool, 3).await;
    before(&pool, application, 250).await;
    let now = app.clock.now();
    let claim = async |after_hours: i64| {
        let at = now + jiff::SignedDuration::from_hours(after_hours);
        let next = at + jiff::SignedDuration::from_hours(1);
        let (a, b) =
            tokio::join!(app.store.claim_retention(at, next), app.store.claim_retention(at, next));
        usize::from(a.unwrap()) + usize::from(b.unwrap())
    };
    assert_eq!(claim(23).await, 0, "whoever upgrades has a day to say that all is kept");
    assert_eq!(claim(25).await, 1);
    assert_eq!(claim(25).await, 0, "in this hour");
    assert_eq!(claim(26).await, 1);
    let other = Service::new(app.store.clone(), app.clock.clone(), settings(Default::default()));
    let stop = CancellationToken::new();
    let (one, two) =
        tokio::join!(app.service.forget_old(&YEAR, &stop), other.forget_old(&YEAR, &stop));
    let (one, two) = (numbers(one.unwrap()), numbers(two.unwrap()));
    // One that finds the other at it leaves the rest to the next look.
    let rest = numbers(forget(&app).await);
    let sum: Vec<u64> = (0..3).map(|it| one[it] + two[it] + rest[it]).collect();
    assert_eq!(sum[0], 252);
    assert_eq!(recorded(&pool).await.to_vec(), sum);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_order_that_rolled_another_back_goes_with_it(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let application = app.create("web", 2).await;
    let mut pairs = Vec::new();
    for image in ["shop/web:2.0", "shop/web:3.0"] {
        let order = app.deploy(application, image, Strategy::ALL_AT_ONCE).await;
        app.end_of(order).await;
        let back = app.service.roll_back(&caller(), order).await.unwrap();
        assert_eq!(app.end_of(back).await.state, State::Succeeded);
        pairs.push([order, back]);
    }
    age(&pool).await;
    assert_eq!(forget(&app).await.orders, 2);
    for gone in pairs[0] {
        assert!(app.service.order(gone).await.is_err());
    }
    let kept = app.service.order(pairs[1][0]).await.unwrap();
    assert_eq!((kept.kind, kept.rolled_back_by), (Kind::Deploy, Some(pairs[1][1])));
}

const KEPT: &str = "event may only be added to";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn events_are_deleted_in_no_other_way(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, orders) = released(&app, &pool, 3).await;
    let events = count(&pool, "event").await;
    let on = "SET sluice.forgets_orders = 'on';";
    for sql in [
        "DELETE FROM event".to_owned(),
        "TRUNCATE event".into(),
        "DELETE FROM change_order".into(),
        format!("{on} DELETE FROM change_order"),
        format!("{on} DELETE FROM application WHERE id = '{application}'"),
    ] {
        let error = refused(&pool, &sql).await;
        assert!(error.contains(KEPT), "{sql}: {error}");
    }
    // What ended lately stays, also where somebody asks the function itself.
    run(&pool, "RESET sluice.forgets_orders").await;
    let lately = app.deploy(application, "shop/web:5.0", Strategy::ALL_AT_ONCE).await;
    app.end_of(lately).await;
    let asked = "SELECT orders, events FROM forget_orders($1)";
    let nothing: (i64, i64) =
        sqlx::query_as(asked).bind([lately.0].as_slice()).fetch_one(&pool).await.unwrap();
    assert_eq!(nothing, (0, 0));
    let own = app.store.events(orders[0]).await.unwrap().len() as i64;
    let deleted: (i64, i64) =
        sqlx::query_as(asked).bind([orders[0].0].as_slice()).fetch_one(&pool).await.unwrap();
    assert_eq!(deleted, (1, own));
    // Nothing is left open behind it.
    let error = refused(&pool, "DELETE FROM event").await;
    assert!(error.contains(KEPT) && count(&pool, "event").await > events - own, "{error}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_role_that_serves_deletes_what_is_old_and_nothing_else(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let (application, _) = released(&app, &pool, 3).await;
    let lately = app.deploy(application, "shop/web:5.0", Strategy::ALL_AT_ONCE).await;
    app.end_of(lately).await;
    let role = format!("serving_{}", Uuid::now_v7().simple());
    run(&pool, &format!("CREATE ROLE {role} LOGIN")).await;
    app.store.grant_serving(&role).await.unwrap();
    let options = sqlx::postgres::PgConnectOptions::clone(&pool.connect_options()).username(&role);
    let serving = PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap();
    let on = "SET sluice.forgets_orders = 'on';";
    for (sql, why) in [
        (format!("{on} DELETE FROM event"), "permission denied"),
        (format!("{on} DELETE FROM change_order"), KEPT),
        (format!("{on} DELETE FROM application"), KEPT),
    ] {
        let error = refused(&serving, &sql).await;
        assert!(error.contains(why), "{sql}: {error}");
    }
    // A table of its own in the place of the orders deceives nobody.
    let mut connection = serving.acquire().await.unwrap();
    let deceived: (i64, i64) = async {
        sqlx::raw_sql(
            "CREATE TEMP TABLE change_order (id uuid, finished_at timestamptz, finalizing boolean)",
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query("INSERT INTO pg_temp.change_order VALUES ($1, '2000-01-01', false)")
            .bind(lately.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query_as("SELECT orders, events FROM forget_orders($1)")
            .bind([lately.0].as_slice())
            .fetch_one(&mut *connection)
            .await
    }
    .await
    .unwrap();
    assert_eq!(deceived, (0, 0));
    sqlx::raw_sql("DROP TABLE pg_temp.change_order").execute(&mut *connection).await.unwrap();
    drop(connection);
    let store = Store::on(serving.clone(), test_support::keyring::keyring());
    let service = Service::new(store, app.clock.clone(), settings(Default::default()));
    let done = service.forget_old(&YEAR, &CancellationToken::new()).await.unwrap();
    assert_eq!(done.orders, 3);
    // Nobody else may ask for it.
    let other = format!("{role}_other");
    run(&pool, &format!("CREATE ROLE {other}; GRANT USAGE ON SCHEMA public TO {other}")).await;
    let sql = format!("SET ROLE {other}; SELECT * FROM forget_orders('{{}}')");
    let error = refused(&pool, &sql).await;
    assert!(error.contains("permission denied for function forget_orders"), "{error}");
    serving.close().await;
    for role in [role, other] {
        run(&pool, &format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await;
    }
}
