//! What Postgres notifies of, for every executor of a program and whoever else listens: over one
//! connection, however many clusters the program drives.

use std::{sync::Arc, time::Duration};

use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

use domain::OrderId;
use store::{CLUSTER_CHANNEL, NOTIFICATION_CHANNEL, REQUEST_CHANNEL, Store};

/// Notices that a slow listener may be behind; it looks at everything if they are more.
const MOST_WAITING: usize = 4096;

/// Pause before it listens again.
const AGAIN: Duration = Duration::from_millis(500);

/// What was notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An order is due.
    Order(Option<OrderId>),
    /// There is a request.
    Request,
    /// There is something to tell people.
    Telling,
    /// Other clusters are to be driven than before.
    Clusters,
    /// Something may have been missed: everything is to be looked at.
    Anything,
}

/// Whoever listens to Postgres.
#[derive(Debug)]
pub struct Notices(Sender<Notice>);

/// Somebody who hears of it.
#[derive(Debug)]
pub struct Hearer(Receiver<Notice>);

impl Hearer {
    /// The next notice; waits for ever if nobody listens any more.
    pub async fn next(&mut self) -> Notice {
        match self.0.recv().await {
            Ok(notice) => notice,
            Err(RecvError::Lagged(_)) => Notice::Anything,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Notices {
    /// One that nobody listens to yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Sender::new(MOST_WAITING)))
    }

    /// Hears of everything from now on.
    #[must_use]
    pub fn hear(&self) -> Hearer {
        Hearer(self.0.subscribe())
    }

    /// Listens for ever.
    pub async fn keep(self: Arc<Self>, store: Store) {
        loop {
            match store.listen().await {
                Ok(mut listener) => {
                    // Whatever was notified before we listened is found by looking.
                    self.tell(Notice::Anything);
                    loop {
                        match listener.try_recv().await {
                            Ok(Some(it)) => self.tell(match it.channel() {
                                REQUEST_CHANNEL => Notice::Request,
                                NOTIFICATION_CHANNEL => Notice::Telling,
                                CLUSTER_CHANNEL => Notice::Clusters,
                                _ => Notice::Order(it.payload().parse().ok()),
                            }),
                            // The connection was lost and made again: something may have been missed.
                            Ok(None) => self.tell(Notice::Anything),
                            Err(error) => {
                                tracing::warn!(%error, "listening for orders failed");
                                break;
                            }
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "could not listen for orders"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn tell(&self, notice: Notice) {
        // An error says that nobody hears it now.
        let _ = self.0.send(notice);
    }
}
