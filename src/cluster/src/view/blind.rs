//! Why nothing of the cluster can be seen: a watch is broken, or the API server does not
//! answer. A stream that hangs says nothing, so the API server is asked besides.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::{State, Stream, View};
use domain::order::outage::Obstacle;

/// Time without an answer after which streams may be dead.
const DEAD_AFTER: Duration = Duration::from_secs(4);

/// Why nothing can be seen.
pub(super) type Blindness = (Obstacle, String);

impl View {
    /// A watch broke.
    pub(crate) fn lose(&self, stream: &Stream, why: Blindness) {
        let mut state = self.lock();
        state.broken.insert(stream.clone(), why);
        self.doubt(&mut state, stream.kind);
    }

    /// The API server did not say which cluster it is. Nothing is decided, or written, until
    /// it does.
    pub(crate) fn miss(&self, why: Blindness) {
        let mut state = self.lock();
        state.identity.seen = None;
        let since = state.unanswered.take().map_or_else(Instant::now, |(_, since)| since);
        state.unanswered = Some((why, since));
        state.watchers.values().for_each(|sender| sender.send_modify(|count| *count += 1));
    }

    /// It says so again. Streams of before may be dead without a word, and begin anew.
    pub(crate) fn answer(&self) {
        let was_away = {
            let mut state = self.lock();
            let was_away = state.unanswered.take().is_some_and(|((obstacle, _), since)| {
                obstacle == Obstacle::Unanswered && since.elapsed() >= DEAD_AFTER
            });
            if was_away {
                for stream in self.streams().iter().filter(|it| it.is_needed()) {
                    if state.synced.contains(stream) {
                        let why = (Obstacle::Unanswered, "what there is is listed anew".to_owned());
                        state.broken.insert(stream.clone(), why);
                    }
                }
            }
            was_away
        };
        if was_away {
            self.renewed.send_modify(|count| *count += 1);
        }
    }

    /// Tells when streams are to begin anew.
    pub(crate) fn renewed(&self) -> watch::Receiver<u64> {
        self.renewed.subscribe()
    }

    /// Why not everything can be seen now; none where it can.
    pub(crate) fn blindness(&self) -> Option<Blindness> {
        self.blindness_by(&self.lock(), |_| true)
    }

    /// Why a namespace cannot be seen now; none where it can.
    pub(crate) fn blindness_of(&self, namespace: &str) -> Option<Blindness> {
        self.blindness_by(&self.lock(), |stream| stream.shows(namespace))
    }

    fn blindness_by(&self, state: &State, of: impl Fn(&Stream) -> bool) -> Option<Blindness> {
        if let Some((why, _)) = &state.unanswered {
            return Some(why.clone());
        }
        let needed = || self.streams().iter().filter(|it| it.is_needed() && of(it));
        if let Some(why) = needed().find_map(|stream| state.broken.get(stream)) {
            return Some(why.clone());
        }
        if needed().any(|stream| !state.synced.contains(stream)) {
            return Some((Obstacle::Unanswered, "what there is is not listed yet".into()));
        }
        let unknown = "it is not certain that it is the cluster of this id";
        (!state.identity.is_known()).then(|| (Obstacle::Unanswered, unknown.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::WatchedKind, *};

    fn list(view: &View, kind: WatchedKind) {
        view.begin_list(&kind.into());
        view.end_list(&kind.into());
    }

    fn list_all(view: &View) {
        view.streams().iter().filter(|it| it.is_needed()).for_each(|it| list(view, it.kind));
    }

    fn seen() -> View {
        let view = View::default();
        list_all(&view);
        view.trust(Some(&"one".parse().unwrap()));
        view.see("one".parse().unwrap(), view.doubts());
        view
    }

    #[test]
    fn whoever_does_not_answer_shows_nothing_until_streams_began_anew() {
        let view = seen();
        assert_eq!(view.blindness(), None);
        let renewed = view.renewed();
        let why = (Obstacle::Unanswered, "no answer within 3 s".to_owned());
        view.miss(why.clone());
        assert_eq!(view.blindness(), Some(why));
        assert!(!view.is_known() && !renewed.has_changed().unwrap());
        if let Some((_, since)) = &mut view.lock().unanswered {
            *since = since.checked_sub(DEAD_AFTER).unwrap();
        }
        view.answer();
        view.see("one".parse().unwrap(), view.doubts());
        assert!(view.is_known() && renewed.has_changed().unwrap());
        assert!(view.blindness().is_some(), "the streams may be dead");
        list_all(&view);
        view.see("one".parse().unwrap(), view.doubts());
        assert_eq!(view.blindness(), None);
    }

    #[test]
    fn what_a_broken_watch_showed_last_is_not_shown() {
        let view = seen();
        let key = super::super::Key { namespace: "shop".into(), name: "web".into() };
        assert_ne!(view.observe(&key), domain::observed::Observation::Unknown);
        view.lose(&WatchedKind::Pod.into(), (Obstacle::Denied, "no right".into()));
        view.see("one".parse().unwrap(), view.doubts());
        assert_eq!(view.observe(&key), domain::observed::Observation::Unknown);
        assert_eq!(view.blindness(), Some((Obstacle::Denied, "no right".into())));
        // Less is told of failures then, and all goes on.
        list(&view, WatchedKind::Pod);
        view.see("one".parse().unwrap(), view.doubts());
        assert_eq!(view.blindness(), None);
        view.lose(&WatchedKind::Warning.into(), (Obstacle::Denied, "no right".into()));
        assert_eq!(view.blindness(), None);
    }
}
