//! Uploaded packages that nothing names any more go, and no other.

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{
    server::DEPLOY,
    upload::{Keeper, PACKAGE},
    *,
};
use domain::PackageId;
use service::{Collected, UploadLimits};

const WEEK_AND_A_DAY: i64 = 8 * 24 * 3600;

impl Keeper {
    /// Uploads a package: its address for a release, and its id.
    async fn uploaded(&self, name: &str) -> (String, PackageId) {
        let given = self.credential().await;
        let object = format!("{}/{name}", given.prefix);
        let answer = self.put(given.upload(&object, self), PACKAGE).await;
        assert_eq!(answer.0, 200, "{}", answer.2);
        let id: uuid::Uuid =
            sqlx::query_scalar("SELECT id FROM stored_package WHERE object_key = $1")
                .bind(&object)
                .fetch_one(&self.server.pool)
                .await
                .unwrap();
        (format!("http://sluice.packages.sluice.invalid/{object}"), PackageId(id))
    }

    async fn deploy(&self, application: &str, url: &str) -> Map<String, Value> {
        self.server
            .call(
                "POST",
                DEPLOY,
                &[("AppId", application), ("PackageUrl", url), ("JDK", "Open JDK 8")],
            )
            .await
    }

    /// The order succeeds, as an executor writes it down.
    async fn succeed(&self) {
        for sql in [
            "UPDATE release r SET released_at = now(), template = '{}' FROM change_order o WHERE o.release_id = r.id AND o.finished_at IS NULL",
            "UPDATE change_order SET state = 'succeeded', step = 'done', finished_at = now(), generation = 1 WHERE finished_at IS NULL",
        ] {
            self.set(sql).await;
        }
    }

    async fn set(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.server.pool).await.unwrap();
    }

    async fn collect(&self, later: i64) -> Collected {
        self.server.clock.advance(later);
        self.service.collect_packages(&CancellationToken::new()).await.unwrap()
    }

    fn has(&self, id: PackageId) -> bool {
        self.folder.path().join(id.to_string()).exists()
    }
}

const ABORT: &str = "UPDATE change_order SET state = 'aborted', step = 'done', finished_at = now() WHERE finished_at IS NULL";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn no_package_goes_that_a_version_or_an_order_names(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool).await;
    let application = keeper.server.create_and_abort().await;
    let (released, underway, unused) = (
        keeper.uploaded("a.jar").await,
        keeper.uploaded("b.jar").await,
        keeper.uploaded("c.jar").await,
    );
    assert_eq!(keeper.deploy(&application, &released.0).await["Code"], 200);
    keeper.succeed().await;
    assert_eq!(keeper.deploy(&application, &underway.0).await["Code"], 200);
    assert_eq!(keeper.collect(6 * 24 * 3600).await, Collected::default(), "nothing is old enough");

    assert_eq!(keeper.collect(WEEK_AND_A_DAY).await, Collected { packages: 1, leftovers: 0 });
    assert_eq!(
        (keeper.has(released.1), keeper.has(underway.1), keeper.has(unused.1)),
        (true, true, false)
    );
    keeper.set(ABORT).await;
    let refused = keeper.deploy(&application, &unused.0).await;
    assert!(
        refused["Message"]
            .as_str()
            .unwrap()
            .contains("no package was uploaded to this server under this key"),
        "{refused:?}"
    );

    // The newest order may still be gone on from, and one that rests half way be rolled back.
    assert_eq!(keeper.collect(WEEK_AND_A_DAY).await.packages, 0);
    let image = [("AppId", application.as_str()), ("Image", "shop/web:3")];
    assert_eq!(keeper.server.call("POST", DEPLOY, &image).await["Code"], 200);
    keeper.set(ABORT).await;
    keeper.set("UPDATE application SET resting_snapshot = 'null'").await;
    assert_eq!(keeper.collect(WEEK_AND_A_DAY).await.packages, 0);
    keeper.set("UPDATE application SET resting_snapshot = NULL").await;
    assert_eq!(keeper.collect(0).await.packages, 1);
    assert_eq!((keeper.has(released.1), keeper.has(underway.1)), (true, false));

    // An application that is deleted leaves its packages while its Deployment stays.
    keeper.set("UPDATE application SET deleted_at = now()").await;
    assert_eq!(keeper.collect(WEEK_AND_A_DAY).await.packages, 0);
    keeper
        .set(
            "UPDATE change_order SET kind = 'delete' WHERE kind = 'deploy' AND state = 'succeeded'",
        )
        .await;
    assert_eq!((keeper.collect(0).await.packages, keeper.has(released.1)), (1, false));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_is_broken_off_is_gone_on_with_and_foreign_files_stay(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool).await;
    let (_, marked) = keeper.uploaded("a.jar").await;
    let write = |name: &str| std::fs::write(keeper.folder.path().join(name), "PK").unwrap();
    let (lost, half, coming) = (PackageId::new(), PackageId::new(), PackageId::new());
    for name in
        [lost.to_string(), format!("{half}.part"), format!("{coming}.part"), "notes.txt".into()]
    {
        write(&name);
    }
    sqlx::query(
        "INSERT INTO package_upload VALUES ($1, 'test-key', 1, now() + interval '30 days')",
    )
    .bind(coming.0)
    .execute(&keeper.server.pool)
    .await
    .unwrap();
    let mark = 1;
    assert_eq!(
        (keeper.collect(0).await, keeper.kept()),
        (Collected::default(), 5 + mark),
        "nothing is old enough"
    );

    // The server ended after it marked the row, before the object went.
    keeper.set("UPDATE stored_package SET deleted_at = now() + interval '8 days'").await;
    assert_eq!(keeper.collect(WEEK_AND_A_DAY).await, Collected { packages: 0, leftovers: 2 });
    assert!(
        !keeper.has(marked) && keeper.kept() == 2 + mark,
        "{:?}",
        std::fs::read_dir(keeper.folder.path()).unwrap().collect::<Vec<_>>()
    );
    let rows = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM stored_package")
            .fetch_one(&keeper.server.pool)
            .await
            .unwrap()
    };
    assert_eq!(rows().await, 1, "a release that saw it before can still find out");
    keeper.collect(3700).await;
    assert_eq!(rows().await, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn nothing_is_taken_from_a_store_that_another_database_has_marked(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool).await;
    let (_, unused) = keeper.uploaded("a.jar").await;
    let theirs = PackageId::new();
    std::fs::write(keeper.folder.path().join(theirs.to_string()), "PK").unwrap();
    std::fs::write(keeper.folder.path().join("sluice-store"), PackageId::new().to_string())
        .unwrap();
    assert_eq!(
        keeper.collect(WEEK_AND_A_DAY).await,
        Collected { packages: 1, leftovers: 0 },
        "a row is this database's own"
    );
    assert_eq!((keeper.has(unused), keeper.has(theirs)), (false, true));
    // Without its mark, as before there was one.
    std::fs::remove_file(keeper.folder.path().join("sluice-store")).unwrap();
    assert_eq!(keeper.collect(0).await.leftovers, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_object_that_cannot_be_deleted_keeps_no_other(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool).await;
    let (first, second) = (keeper.uploaded("a.jar").await.1, keeper.uploaded("b.jar").await.1);
    let path = keeper.folder.path().join(first.to_string());
    std::fs::remove_file(&path).unwrap();
    // A folder is no file that can be deleted.
    std::fs::create_dir_all(path.join("inside")).unwrap();
    assert_eq!(keeper.collect(WEEK_AND_A_DAY).await.packages, 2);
    assert!(!keeper.has(second));
    keeper.collect(3700).await;
    let rows: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM stored_package")
        .fetch_all(&keeper.server.pool)
        .await
        .unwrap();
    assert_eq!(rows, [first.0], "it is tried again");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn no_release_of_a_package_is_accepted_while_that_is_deleted(pool: PgPool) {
    let keeper = Keeper::start_with(UploadLimits::default(), pool.clone()).await;
    let application = keeper.server.create_and_abort().await;
    let (_, id) = keeper.uploaded("a.jar").await;
    let (store, now) =
        (Store::on(pool, test_support::keyring::keyring()), keeper.server.clock.now());
    let later = now + SignedDuration::from_hours(1);
    // A release that is just being accepted wins.
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.hold_packages(&[id, PackageId::new()]).await.unwrap(), None);
    assert!(!store.mark_package_deleted(id, later, now, now).await.unwrap());
    tx.commit().await.unwrap();
    // After that the deletion wins, and a release that saw the package before is refused.
    assert!(store.mark_package_deleted(id, later, now, now).await.unwrap());
    let address = format!("http://127.0.0.1:1/sluice/v1/packages/{id}/a.jar");
    let orders = keeper.server.orders().await;
    let refused = keeper.deploy(&application, &address).await;
    assert!(
        refused["Message"].as_str().unwrap().contains("this uploaded package is deleted"),
        "{refused:?}"
    );
    assert_eq!(keeper.server.orders().await, orders);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_server_at_a_time_looks_through_the_store(pool: PgPool) {
    let (store, now) = (Store::on(pool, test_support::keyring::keyring()), Clock::default().now());
    let next = now + SignedDuration::from_mins(10);
    let claims = tokio::join!(store.claim_sweep(now, next), store.claim_sweep(now, next));
    assert_eq!(
        [claims.0.unwrap(), claims.1.unwrap()].iter().filter(|claimed| **claimed).count(),
        1
    );
    assert!(store.claim_sweep(next, next + SignedDuration::from_mins(10)).await.unwrap());
}
