//! What whoever follows an order is sent: server-sent events.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::{
    sync::mpsc::{Sender, channel},
    time::{Instant, interval_at, sleep_until, timeout},
};

use super::{Shown, Watch};

/// Longest silence of a stream: what lies between closes a connection that says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long whoever reads may take for what was written.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// How long a stream lasts at most; whoever reads asks for another one, and is judged anew.
const LONGEST: Duration = Duration::from_secs(300);

/// The events of a stream.
#[derive(Debug, Clone, Copy)]
pub struct EventForm {
    /// That of a snapshot.
    pub shown: fn(&Shown) -> Bytes,
    /// The one behind the last snapshot; empty = none.
    pub done: &'static [u8],
    /// The one for whoever may not follow orders any more; empty = none.
    pub shut_out: &'static [u8],
}

impl Watch {
    /// What is followed as server-sent events: the newest snapshot whenever the one before
    /// was read. It ends with the order, the server, the right to follow it, or after
    /// five minutes; and where what was written is not read within ten seconds.
    pub fn events(self, form: EventForm) -> impl Stream<Item = Bytes> + Send + use<> {
        let (sender, receiver) = channel(1);
        tokio::spawn(write(self, form, sender));
        stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|bytes| (bytes, receiver))
        })
    }
}

async fn write(mut watch: Watch, form: EventForm, to: Sender<Bytes>) {
    let end = Instant::now() + LONGEST;
    let send = async |bytes: Bytes| {
        bytes.is_empty() || matches!(timeout(READ_WITHIN, to.send(bytes)).await, Ok(Ok(())))
    };
    let mut silence = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    loop {
        tokio::select! {
            () = to.closed() => return,
            () = sleep_until(end) => return,
            _ = silence.tick() => {
                if !send(Bytes::from_static(b": keep-alive\n\n")).await {
                    return;
                }
            }
            next = watch.next() => {
                let Some(shown) = next else {
                    if watch.is_shut_out() {
                        send(Bytes::from_static(form.shut_out)).await;
                    }
                    return;
                };
                if !send((form.shown)(&shown)).await {
                    return;
                }
                if shown.order.state.is_final() {
                    send(Bytes::from_static(form.done)).await;
                    return;
                }
            }
        }
    }
}
