//! The list of a container's variables, changed in place: [`merged`].
//!
//! Order matters there: Kubernetes puts `$(NAME)` in only for variables that stand
//! before, and of two with one name the later counts. So what stays keeps its place,
//! what is changed is changed where it is, and what is new comes last, unless the
//! caller's own order says otherwise. Linear in both lists. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A variable that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnvVar {
    pub name: String,
    #[serde(default)]
    pub value: String,
    /// Where its value is instead, in Kubernetes' form.
    #[serde(default, rename = "valueFrom", skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
}

impl EnvVar {
    /// One with a plain value.
    #[must_use]
    pub fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), from: None }
    }

    /// It in Kubernetes' form.
    #[must_use]
    pub fn item(&self) -> Value {
        match &self.from {
            Some(from) => json!({ "name": self.name, "valueFrom": from }),
            None => json!({ "name": self.name, "value": self.value }),
        }
    }
}

/// The list `present` with `wanted` in it. Of those that are there, the ones that `goes`
/// says are the caller's, and go unless they are wanted; the others stay.
///
/// A name that is wanted is changed where it is, whatever it was; of several with one
/// name the last ones are. The wanted ones come in the order in which they are given, but
/// that a variable stays behind what it refers to.
#[must_use]
pub fn merged(present: &[Value], wanted: &[Value], goes: impl Fn(&Value) -> bool) -> Vec<Value> {
    let untouched = untouched(present, wanted, &goes);
    let wanted: Vec<Value> =
        wanted.iter().filter(|item| !untouched.contains(name(item))).cloned().collect();
    let wanted = &wanted[..];
    // Which of the present ones each wanted one replaces: from the end, since the last counts.
    let mut replaced: Vec<Option<usize>> = vec![None; wanted.len()];
    let mut left = by_name(wanted);
    let mut role: Vec<Role> = Vec::with_capacity(present.len());
    for (index, item) in present.iter().enumerate().rev() {
        role.push(match left.get_mut(name(item)).map(Vec::pop) {
            Some(Some(found)) => {
                replaced[found] = Some(index);
                Role::Slot
            }
            // One more of a name that is wanted would count in its place.
            Some(None) => Role::Gone,
            None if goes(item) && !untouched.contains(name(item)) => Role::Gone,
            None => Role::Stays,
        });
    }
    role.reverse();

    let references = References::new(present, wanted, &role, &replaced);
    let order = references.wanted_order();
    // The places that the wanted ones had are theirs again, in their new order; new ones
    // stand just before the next of them, and those after the last come at the end.
    let mut slots: VecDeque<usize> =
        (0..present.len()).filter(|index| role[*index] == Role::Slot).collect();
    let places = order.iter().map(|index| match replaced[*index] {
        Some(_) => slots.pop_front().unwrap_or(usize::MAX),
        None => slots.front().copied().unwrap_or(usize::MAX),
    });
    let places: Vec<usize> = places.collect();

    let mut all = Vec::with_capacity(present.len() + wanted.len());
    let mut stays = (0..present.len()).filter(|index| role[*index] == Role::Stays).peekable();
    let mut behind = None;
    for (index, place) in order.into_iter().zip(places) {
        behind = behind.max(references.last_needed(index));
        while let Some(next) = stays.next_if(|stay| {
            *stay < place && place != usize::MAX || behind.is_some_and(|behind| *stay <= behind)
        }) {
            all.push(present[next].clone());
        }
        if place == usize::MAX {
            all.extend(stays.by_ref().map(|next| present[next].clone()));
        }
        all.push(wanted[index].clone());
    }
    all.extend(stays.map(|next| present[next].clone()));
    all
}

/// The names that have variables of somebody else's beside the caller's, and whose own the
/// caller wants just as they are: nothing of them is asked for.
fn untouched<'a>(
    present: &'a [Value],
    wanted: &[Value],
    goes: impl Fn(&Value) -> bool,
) -> HashSet<&'a str> {
    let (there, named) = (by_name(present), by_name(wanted));
    let is_so = |name: &&str| {
        let Some(indices) = there.get(name) else { return false };
        let own = indices.iter().map(|index| &present[*index]).filter(|item| goes(item));
        let wanted = named
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(|index| &wanted[*index]);
        indices.iter().any(|index| !goes(&present[*index])) && own.eq(wanted)
    };
    there.keys().copied().filter(is_so).collect()
}

/// What becomes of a variable that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Stays,
    Gone,
    /// A wanted one takes its place, or another one does.
    Slot,
}

fn name(item: &Value) -> &str {
    item["name"].as_str().unwrap_or_default()
}

fn by_name(items: &[Value]) -> HashMap<&str, Vec<usize>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        found.entry(name(item)).or_default().push(index);
    }
    found
}

/// Who refers to whom.
struct References {
    /// For each wanted one, the wanted ones that it must stay behind.
    within: Vec<Vec<usize>>,
    /// For each wanted one, the last of those that stay that it must be behind.
    staying: Vec<Option<usize>>,
}

impl References {
    fn new(present: &[Value], wanted: &[Value], role: &[Role], replaced: &[Option<usize>]) -> Self {
        let mut becomes: HashMap<usize, usize> = HashMap::new();
        for (index, place) in replaced.iter().enumerate() {
            becomes.extend(place.map(|place| (place, index)));
        }
        let there = by_name(present);
        let last_staying: HashMap<&str, usize> = (0..present.len())
            .filter(|index| role[*index] == Role::Stays)
            .map(|index| (name(&present[index]), index))
            .collect();
        let (mut within, mut staying) = (vec![Vec::new(); wanted.len()], vec![None; wanted.len()]);
        // Of several with one name the last counts, whichever the caller says that is.
        for of_one_name in by_name(wanted).values() {
            of_one_name.windows(2).for_each(|pair| within[pair[1]].push(pair[0]));
        }
        for (index, item) in wanted.iter().enumerate() {
            let before = replaced[index];
            let unchanged = before.is_some_and(|place| present[place] == *item);
            for referred in item["value"].as_str().map(referred).unwrap_or_default() {
                let places = there.get(referred).map(Vec::as_slice).unwrap_or_default();
                // What it found there, where it stood.
                let found = before
                    .and_then(|place| places[..places.partition_point(|it| *it < place)].last());
                let found = match found {
                    // One that never was resolved is text, and stays it.
                    None if unchanged => continue,
                    None => last_staying.get(referred),
                    found => found,
                };
                let Some(found) = found else { continue };
                match (role[*found], becomes.get(found)) {
                    (Role::Stays, _) => staying[index] = staying[index].max(Some(*found)),
                    (Role::Slot, Some(other)) if *other != index => within[index].push(*other),
                    (Role::Slot | Role::Gone, _) => {}
                }
            }
        }
        Self { within, staying }
    }

    fn last_needed(&self, index: usize) -> Option<usize> {
        self.staying[index]
    }

    /// The wanted ones as they are given, but each behind those that it refers to.
    fn wanted_order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.within.len());
        // 0 = not seen, 1 = begun, 2 = placed.
        let mut seen = vec![0_u8; self.within.len()];
        let mut open = Vec::new();
        for first in 0..self.within.len() {
            open.push(first);
            while let Some(index) = open.pop() {
                match seen[index] {
                    0 => {
                        seen[index] = 1;
                        open.push(index);
                        open.extend(
                            self.within[index]
                                .iter()
                                .rev()
                                .copied()
                                .filter(|other| seen[*other] == 0),
                        );
                    }
                    1 => {
                        seen[index] = 2;
                        order.push(index);
                    }
                    _ => {}
                }
            }
        }
        order
    }
}

/// The names that a value refers to, as Kubernetes reads it: `$(NAME)`, but not `$$(NAME)`.
fn referred(value: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(escaped) = rest.strip_prefix('$') {
            rest = escaped;
        } else if let Some(inside) = rest.strip_prefix('(') {
            // Without an end it is text, and so is all that follows.
            let Some(end) = inside.find(')') else { break };
            found.push(&inside[..end]);
            rest = &inside[end + 1..];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use rstest::rstest;

    use super::*;

    /// `A=1` is a plain variable, `A<x` one whose value is elsewhere.
    fn list(text: &str) -> Vec<Value> {
        let item = |text: &str| match text.split_once('<') {
            Some((name, from)) => {
                json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": from } } })
            }
            None => {
                let (name, value) = text.split_once('=').unwrap();
                json!({ "name": name, "value": value })
            }
        };
        text.split_whitespace().map(item).collect()
    }

    fn told(items: &[Value]) -> String {
        let tell = |item: &Value| match item["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some(from) => format!("{}<{from}", name(item)),
            None => format!("{}={}", name(item), item["value"].as_str().unwrap()),
        };
        items.iter().map(tell).collect::<Vec<_>>().join(" ")
    }

    fn changed(present: &str, wanted: &str) -> String {
        told(&merged(&list(present), &list(wanted), |item| item.get("valueFrom").is_none()))
    }

    #[rstest]
    #[case::a_reference_stays_behind(
        "IP<ip URL=http://$(IP)",
        "URL=https://$(IP) LEVEL=1",
        "IP<ip URL=https://$(IP) LEVEL=1"
    )]
    #[case::nothing_changes("A=1 IP<ip B=2", "A=1 B=2", "A=1 IP<ip B=2")]
    #[case::one_goes("A=1 IP<ip B=2", "B=2", "IP<ip B=2")]
    #[case::all_go("A=1 IP<ip B=2", "", "IP<ip")]
    #[case::new_ones_come_last("B=2 IP<ip", "B=3 D=4 C=5", "B=3 IP<ip D=4 C=5")]
    #[case::the_callers_order_counts("A=1 IP<ip B=2", "B=2 A=1", "B=2 IP<ip A=1")]
    #[case::a_new_one_before_one_that_is_there("A=$(N) IP<ip", "N=1 A=$(N)", "N=1 A=$(N) IP<ip")]
    #[case::behind_what_it_refers_to("A=1 IP<ip", "NEW=$(IP) A=1", "IP<ip NEW=$(IP) A=1")]
    #[case::no_order_of_the_callers_breaks_a_reference(
        "HOST=h URL=$(HOST)",
        "URL=$(HOST) HOST=h",
        "HOST=h URL=$(HOST)"
    )]
    #[case::not_even_beside_one_that_stays("A=1 X<x B=$(X)", "B=$(X) A=1", "X<x B=$(X) A=1")]
    #[case::what_never_was_resolved_stays_text("A=$(B) B<b", "A=$(B)", "A=$(B) B<b")]
    #[case::duplicates_stay("A=1 A=2", "A=1 A=2", "A=1 A=2")]
    #[case::of_duplicates_the_last_is_changed("A=1 X<x A=2", "A=3", "X<x A=3")]
    #[case::more_of_one_name("A=1", "A=1 A=2", "A=1 A=2")]
    #[case::beside_one_of_somebody_elses("A=1 A<a B=2", "B=2 A=1", "A=1 A<a B=2")]
    #[case::and_in_its_place("A=1 A<a B=2", "B=2 A=3", "B=2 A=3")]
    #[case::a_source_becomes_a_value("IP<ip A=$(IP)", "IP=1 A=$(IP)", "IP=1 A=$(IP)")]
    #[case::a_value_becomes_a_source("B=1 A=2", "A<a", "A<a")]
    #[case::an_escaped_reference_is_none("A=$$(B) B=1", "B=1 A=$$(B)", "B=1 A=$$(B)")]
    #[case::circles("A=$(B) B=$(A)", "B=$(A) A=$(B)", "A=$(B) B=$(A)")]
    fn variables_keep_their_places(
        #[case] present: &str,
        #[case] wanted: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(changed(present, wanted), expected);
    }

    #[test]
    fn references_are_read_as_kubernetes_reads_them() {
        assert_eq!(referred("a$(B)$$(C)$D$$$(E)$(F"), ["B", "E"]);
        assert_eq!(referred("$$$$(A)$()"), [""]);
    }

    fn items() -> impl Strategy<Value = Vec<Value>> {
        let item = (0..6_u8, prop::option::of((0..6_u8, any::<bool>())), any::<bool>()).prop_map(
            |(name, refers, elsewhere)| {
                let name = format!("V{name}");
                let value = refers.map_or_else(String::new, |(other, escaped)| {
                    format!("{}$(V{other})", if escaped { "$" } else { "" })
                });
                if elsewhere {
                    json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": "x" } } })
                } else {
                    json!({ "name": name, "value": value })
                }
            },
        );
        vec(item, 0..8)
    }

    fn plain(items: &[Value]) -> Vec<Value> {
        items.iter().filter(|item| item.get("valueFrom").is_none()).cloned().collect()
    }

    proptest! {
        #[test]
        fn what_is_sent_back_as_it_was_shown_changes_nothing(present in items()) {
            prop_assert_eq!(merged(&present, &plain(&present), |item| item.get("valueFrom").is_none()), present);
        }

        #[test]
        fn all_that_is_wanted_is_there_and_the_rest_keeps_its_order(present in items(), wanted in items()) {
            let wanted = plain(&wanted);
            let is_wanted = |item: &Value| wanted.iter().any(|it| name(it) == name(item));
            let after = merged(&present, &wanted, |item| item.get("valueFrom").is_none());
            let rest = |items: &[Value]| items.iter().filter(|item| !is_wanted(item) && item.get("valueFrom").is_some()).cloned().collect::<Vec<_>>();
            prop_assert_eq!(rest(&after), rest(&present));
            for item in &wanted {
                let count = |items: &[Value]| items.iter().filter(|it| *it == item).count();
                prop_assert!(count(&after) >= count(&wanted));
            }
            // Of one name twice, each may be what another one refers to.
            prop_assume!(by_name(&wanted).values().all(|of_one_name| of_one_name.len() == 1));
            let again = merged(&after, &wanted, |item| item.get("valueFrom").is_none());
            prop_assert_eq!(again, after, "and the same again changes nothing");
        }
    }
}
