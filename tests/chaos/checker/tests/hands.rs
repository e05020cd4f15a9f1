//! What other hands do in a recording, and what is found where they were not answered well.

use super::{super::hands::BOUND, *};
use crate::checker::Hand;

impl Story {
    /// Another hand writes the Deployment.
    fn hand(&mut self, hand: Hand, change: impl Fn(&mut Deployment)) {
        self.see(What::Hand(hand));
        let seen = self.recording.seen.iter().rev();
        let mut now = seen
            .filter_map(|it| match &it.what {
                What::Deployment(now) => Some(now.clone()),
                _ => None,
            })
            .next()
            .unwrap();
        change(&mut now);
        self.hand = Some(self.version.to_string());
        now.hand.clone_from(&self.hand);
        now.ours.clear();
        self.see(What::Deployment(now));
    }

    /// A canary of 1 of 4 pods that waits.
    fn waiting() -> Self {
        let mut story = Self::told();
        let waits = |row: &Row| step(row, "close_gate");
        let at = story.recording.rows.iter().position(waits).unwrap();
        let (time, order) = (story.recording.rows[at].at, story.recording.rows[at].before.clone());
        story.recording.rows.truncate(at);
        story.recording.seen.retain(|seen| seen.at < time);
        (story.time, story.order) = (time, order.unwrap());
        story
    }

    /// Time in which nothing happens.
    fn passes(&mut self, microseconds: i64) {
        self.time += microseconds;
        self.pod("old-1", "old", true);
    }

    fn ends_failed(&mut self, message: &str) {
        let change = json!({ "state": "failed", "step": "done", "finished_at": "2026-01-01T00:00:00Z", "message": message });
        self.change("end", &change);
        self.batch("end", 1, "aborted");
        let generation = self.order["generation"].clone();
        self.event("end", "order.done", json!({ "generation": generation }));
    }

    /// A hand resumes the Deployment, and Sluice pauses it again, decided at this second.
    fn resumed_and_paused_again(&mut self, second: i64) {
        self.hand(Hand::Settings, |it| it.settings.paused = false);
        let time = jiff::Timestamp::from_second(second).unwrap();
        self.order["step_since"] = time.to_string().into();
        let held = settings(true, true, 0, 1);
        let message = "batch 2 waits for confirmation";
        self.moves("waiting_confirmation", "close_gate", 0, message, Some(&held), &[]);
        self.makes(7, &held);
        let held = settings(true, false, 0, 1);
        self.moves("waiting_confirmation", "paused", 0, message, Some(&held), &[]);
        self.makes(7, &held);
    }
}

fn pods_come(story: &mut Story, names: &[&str]) {
    names.iter().for_each(|name| story.pod(name, "new", false));
}

#[test]
fn pods_that_a_hand_brought_and_that_go_again_are_no_violation() {
    let mut story = Story::waiting();
    story.hand(Hand::Settings, |it| it.settings.paused = false);
    pods_come(&mut story, &["more", "more-2"]);
    story.see(What::Pod(Pod { name: "more".into(), gone: true, ..Pod::default() }));
    story.see(What::Pod(Pod { name: "more-2".into(), gone: true, ..Pod::default() }));
    story.passes(2 * BOUND);
    story.ends_failed("");
    assert_eq!(judge(&story.recording), Vec::<String>::new());
}

#[test]
fn pods_that_a_hand_brought_and_that_stay_are_found() {
    let mut story = Story::waiting();
    story.hand(Hand::Settings, |it| it.settings.paused = false);
    pods_come(&mut story, &["more", "more-2"]);
    story.passes(2 * BOUND);
    story.ends_failed("");
    assert_found(&judge(&story.recording), "there were more new pods than planned for 40 s");
}

#[test]
fn pods_stay_as_long_as_a_hand_pauses_the_deployment() {
    let mut story = Story::waiting();
    story.hand(Hand::Settings, |it| it.settings.paused = false);
    pods_come(&mut story, &["more", "more-2"]);
    story.hand(Hand::Pause, |it| it.settings.paused = true);
    story.passes(2 * BOUND);
    story.ends_failed("");
    assert_eq!(judge(&story.recording), Vec::<String>::new());
}

#[test]
fn a_ready_pod_that_goes_after_a_hand_was_answered_is_found() {
    let mut story = Story::waiting();
    let taken = |name: &str| {
        let (name, release) = (name.to_owned(), Some("old".to_owned()));
        What::Pod(Pod { name, gone: true, ready: true, release, lost: false })
    };
    story.hand(Hand::Settings, |it| {
        it.settings.strategy["rollingUpdate"]["maxUnavailable"] = 2.into()
    });
    story.see(taken("old-3"));
    story.pod("old-4", "old", true);
    let ends = |story: &mut Story| {
        story.ends_failed("");
        judge(&story.recording)
    };
    let held = settings(true, false, 0, 1);
    let message = "batch 2 waits for confirmation";
    story.moves("waiting_confirmation", "paused", 0, message, Some(&held), &[]);
    story.makes(7, &held);
    story.passes(4_000_000);
    story.see(taken("old-1"));
    assert_found(&ends(&mut story), "3 pods are Ready, 4 must be");
}

#[test]
fn a_pod_that_a_hand_deleted_is_not_missing_by_our_doing() {
    let gone = || {
        let (name, release) = ("old-3".to_owned(), Some("old".to_owned()));
        What::Pod(Pod { name, gone: true, ready: true, release, lost: false })
    };
    let mut story = Story::waiting();
    story.see(What::Hand(Hand::Takes("old-3".into())));
    story.see(gone());
    story.ends_failed("");
    assert_eq!(judge(&story.recording), Vec::<String>::new());
    let mut story = Story::waiting();
    story.see(What::Hand(Hand::Takes("old-2".into())));
    story.see(gone());
    story.ends_failed("");
    assert_found(&judge(&story.recording), "3 pods are Ready, 4 must be");
}

#[test]
fn a_field_that_is_put_back_twice_within_a_minute_is_found() {
    for (second, is_found) in [(1_030, true), (1_070, false)] {
        let mut story = Story::waiting();
        story.resumed_and_paused_again(1_000);
        story.resumed_and_paused_again(second);
        story.ends_failed("");
        let found = judge(&story.recording);
        if is_found {
            assert_found(&found, "paused was put back twice within a minute");
        } else {
            assert_eq!(found, Vec::<String>::new());
        }
    }
}

#[test]
fn what_a_hand_set_in_the_middle_is_the_users_at_the_end() {
    let story = |restored: i64| {
        let mut story = Story::waiting();
        story.hand(Hand::Settings, |it| it.settings.deadline = 700);
        let user = Settings { deadline: restored, ..user() };
        let gate = settings(false, true, 3, 1);
        story.moves("running", "bring_up", 1, "", Some(&gate), &[(1, "running")]);
        story.makes(7, &gate);
        story.moves("running", "restore_settings", 1, "", Some(&user), &[(1, "succeeded")]);
        story.makes(7, &user);
        story.moves("succeeded", "done", 1, "", None, &[]);
        judge(&story.recording)
    };
    assert_eq!(story(700), Vec::<String>::new());
    assert_found(&story(600), "the user's settings are not back");
}

#[test]
fn settings_that_an_order_that_gave_way_did_not_give_back_are_found() {
    let mut story = Story::waiting();
    story.hand(Hand::Template, |it| it.release = Some("theirs".into()));
    story.ends_failed("superseded by kubectl-set, who changed it");
    assert_found(&judge(&story.recording), "the user's settings are not back");
}

#[test]
fn a_write_by_hand_under_an_older_token_is_none_of_ours() {
    let mut story = Story::waiting();
    story.hand(Hand::Annotations, |it| it.fence = Some(1));
    story.ends_failed("");
    assert_eq!(judge(&story.recording), Vec::<String>::new());
}

#[test]
fn a_deployment_that_is_made_again_is_found() {
    let mut story = Story::waiting();
    let again = story.recording.seen.iter().rev().find_map(|it| match &it.what {
        What::Deployment(now) => Some(now.clone()),
        _ => None,
    });
    let again = again.unwrap();
    story.see(What::Hand(Hand::Delete));
    story.see(What::Deployment(Deployment { gone: true, ..again.clone() }));
    story.see(What::Deployment(Deployment { uid: "two".into(), ..again }));
    story.ends_failed("");
    assert_found(&judge(&story.recording), "a Deployment that was deleted was made again");
}

#[test]
fn a_write_on_a_deployment_that_somebody_made_anew_is_found() {
    let mut story = Story::waiting();
    story.see(What::Hand(Hand::Delete));
    let theirs =
        Deployment { uid: "two".into(), replicas: 4, settings: user(), ..Default::default() };
    story.see(What::Deployment(Deployment { gone: true, ..Default::default() }));
    story.see(What::Deployment(theirs));
    let held = settings(true, false, 0, 1);
    story.moves("running", "bring_up", 0, "", Some(&held), &[]);
    story.makes(7, &held);
    story.ends_failed("");
    assert_found(&judge(&story.recording), "an order wrote a Deployment that somebody made anew");
}
