//! Whoever asks for something may go away in the middle: a client that hangs up, a time that is
//! over, an executor that ends.

use std::pin::pin;

use futures::poll;
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::Store;

/// One connection has to do for all, so that the next to use it meets what the last one left.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_transaction_that_nobody_waits_for_keeps_no_later_write_from_being_kept(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    let one = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let one = one.connect_with(options).await.unwrap();
    let store = Store::on(one.clone(), test_support::keyring::keyring());
    sqlx::query("CREATE TABLE kept (number int)").execute(&pool).await.unwrap();
    for number in 0..100 {
        {
            let mut begins = pin!(store.begin());
            // From before it asks for the connection until after it has begun.
            for _ in 0..number % 10 {
                if poll!(begins.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let insert = sqlx::query("INSERT INTO kept VALUES ($1)").bind(number);
        insert.execute(&one).await.unwrap();
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&pool).await.unwrap();
        assert_eq!(kept, i64::from(number) + 1, "the write behind it is there for all");
    }
}
