//! What came out of comparing what Sluice may do with what it uses.

use super::{Feature, Wanted};

/// Most characters of one text.
const LONGEST: usize = 400;

/// Namespaces that are named beside one right.
const PLACES: usize = 3;

/// What an executor was told of its own rights. A place is a namespace; none = the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// Rights that are used, and whether they are given.
    pub asked: Vec<(Wanted, Option<String>, bool)>,
    /// Rights that are given, and not used, in words.
    pub excess: Vec<(String, Option<String>)>,
}

/// What there is to say of rights, each at most one sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What somebody should change.
    pub warnings: Vec<String>,
    /// What somebody left out as a whole, most likely on purpose.
    pub notes: Vec<String>,
}

impl Review {
    /// The sentences: at most one for each feature, and one for what is too much.
    #[must_use]
    pub fn told(&self) -> Told {
        let mut told = Told::default();
        for feature in Feature::ALL {
            let asked = || self.asked.iter().filter(|(it, ..)| it.feature == feature);
            let missing: Vec<(String, Option<&str>)> = asked()
                .filter(|(.., given)| !given)
                .map(|(right, place, _)| (right.told(), place.as_deref()))
                .collect();
            if missing.is_empty() {
                continue;
            }
            let is_left_out = feature != Feature::Release && missing.len() == asked().count();
            let text = format!("rights are missing, and {}: {}", feature.lost(), list(&missing));
            let to = if is_left_out { &mut told.notes } else { &mut told.warnings };
            to.push(cut(text));
        }
        if !self.excess.is_empty() {
            let excess: Vec<_> =
                self.excess.iter().map(|(it, place)| (it.clone(), place.as_deref())).collect();
            told.warnings
                .push(cut(format!("rights are given that Sluice does not use: {}", list(&excess))));
        }
        told
    }
}

/// Each right once, with its places.
fn list(rights: &[(String, Option<&str>)]) -> String {
    let mut grouped: Vec<(&str, Vec<&str>)> = Vec::new();
    for (right, place) in rights {
        let place = place.unwrap_or("the whole cluster");
        match grouped.iter_mut().find(|(known, _)| known == right) {
            Some((_, places)) => places.push(place),
            None => grouped.push((right, vec![place])),
        }
    }
    let told = grouped.iter().map(|(right, places)| {
        let more = places.len().saturating_sub(PLACES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown: Vec<&str> = places.iter().take(PLACES).copied().collect();
        format!("{right} in {}{more}", shown.join(", "))
    });
    told.collect::<Vec<_>>().join("; ")
}

fn cut(text: String) -> String {
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::wanted;

    fn review(is_given: impl Fn(&Wanted, &str) -> bool) -> Review {
        let mut review = Review::default();
        for place in ["billing", "shop"] {
            for right in wanted(true).into_iter().filter(|it| !it.in_the_whole_cluster) {
                let given = is_given(&right, place);
                review.asked.push((right, Some(place.to_owned()), given));
            }
        }
        review
    }

    #[test]
    fn nothing_is_said_where_all_is_as_it_should_be() {
        assert_eq!(review(|_, _| true).told(), Told::default());
    }

    #[test]
    fn a_feature_without_any_right_was_left_out_and_one_without_some_is_broken() {
        let told = review(|it, place| {
            let broken = it.verb == "patch" && it.resource == "deployments" && place == "shop";
            it.feature != Feature::Logs && !broken
        })
        .told();
        assert_eq!(
            told.warnings,
            ["rights are missing, and no order is carried out: patch deployments.apps in shop"]
        );
        assert_eq!(
            told.notes,
            ["rights are missing, and logs cannot be shown: get pods/log in billing, shop"]
        );
    }

    #[test]
    fn what_is_too_much_is_told_once_and_short() {
        let excess = (0..500).map(|it| (format!("delete things-{it}"), Some("shop".to_owned())));
        let review = Review { excess: excess.collect(), ..Review::default() };
        let told = review.told();
        assert_eq!(told.warnings.len(), 1);
        assert!(told.warnings[0].contains("does not use: delete things-0 in shop; "));
        assert_eq!(told.warnings[0].chars().count(), LONGEST);
    }
}
