//! What the file of a migration says: in its first comment, and by its statements.

/// The first sentence of the comment that the file begins with.
pub(super) fn first_sentence(sql: &str) -> String {
    let lines = sql.lines().map_while(|line| line.strip_prefix("--"));
    let comment = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let end = comment.find(". ").map_or(comment.len(), |place| place + 1);
    comment[..end].to_owned()
}

/// Tables that were there before of which a statement reads or writes every row, in the order
/// in which they are met. What is within functions and `DO` is not looked into.
pub(super) fn held_up(sql: &str) -> Vec<String> {
    let statements = statements(sql);
    let made: Vec<&str> = statements
        .iter()
        .filter_map(|words| match words.as_slice() {
            [a, b, name, ..] if is(a, "CREATE") && is(b, "TABLE") => Some(table(name)),
            [a, _, b, name, ..] if is(a, "CREATE") && is(b, "TABLE") => Some(table(name)),
            _ => None,
        })
        .collect();
    let mut found: Vec<String> = Vec::new();
    for name in statements.iter().filter_map(|words| gone_through(words)) {
        if !made.contains(&name) && !found.iter().any(|there| there == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Whether it says that programs of before cannot work with what it leaves.
pub(super) fn ends_earlier_programs(sql: &str) -> bool {
    statements(sql).iter().any(|words| {
        matches!(words.as_slice(), [a, b, c, d, ..]
            if is(a, "UPDATE") && is(b, "installation") && is(c, "SET") && is(d, "programs_since"))
    })
}

/// Whether something that a program of before may use is taken away or named otherwise, or more
/// is asked of what it writes.
#[cfg(test)]
pub(super) fn takes_away(sql: &str) -> bool {
    statements(sql).iter().any(|words| {
        let says = |wanted: &str| words.iter().any(|word| is(word, wanted));
        let of_table = words.first().is_some_and(|word| is(word, "ALTER"))
            && words.get(1).is_some_and(|word| is(word, "TABLE") || is(word, "TYPE"));
        let drops = words.first().is_some_and(|word| is(word, "DROP"))
            && words
                .get(1)
                .is_some_and(|word| is(word, "TABLE") || is(word, "FUNCTION") || is(word, "TYPE"));
        let not_null = words.windows(2).any(|pair| is(&pair[0], "NOT") && is(&pair[1], "NULL"));
        drops
            || (of_table
                && (says("RENAME")
                    || says("DROP")
                    || says("TYPE") && says("USING")
                    || says("CONSTRAINT")
                    || not_null && !says("DEFAULT")))
    })
}

/// The table of which a statement reads or writes every row.
fn gone_through(words: &[String]) -> Option<&str> {
    let says = |wanted: &str| words.iter().any(|word| is(word, wanted));
    match words {
        [a, name, ..] if is(a, "UPDATE") => Some(table(name)),
        [a, b, name, ..] if is(a, "DELETE") && is(b, "FROM") => Some(table(name)),
        [a, rest @ ..] if is(a, "CREATE") && rest.iter().take(2).any(|word| is(word, "INDEX")) => {
            let on = words.iter().position(|word| is(word, "ON"))?;
            words.get(on + 1).map(|name| table(name))
        }
        [a, b, name, ..] if is(a, "ALTER") && is(b, "TABLE") => {
            let sets = words.windows(2).any(|pair| is(&pair[0], "SET") && is(&pair[1], "NOT"));
            // A default that differs from row to row is written into each.
            let fills = words.iter().any(|word| {
                let word = word.to_ascii_lowercase();
                word.starts_with("gen_random_uuid(") || word.starts_with("pg_current_xact_id(")
            });
            let adds = says("ADD")
                && ["CONSTRAINT", "CHECK", "REFERENCES", "UNIQUE", "PRIMARY"].into_iter().any(says);
            (sets || fills || adds || says("TYPE")).then(|| table(name))
        }
        _ => None,
    }
}

fn is(word: &str, wanted: &str) -> bool {
    word.eq_ignore_ascii_case(wanted)
}

/// A table's name as it stands in a statement, without what follows at once.
fn table(name: &str) -> &str {
    name.trim_end_matches([',', '(', ')'])
}

/// The words of each statement. Comments are left out, and so are texts: what is quoted, and
/// bodies between `$$`.
fn statements(sql: &str) -> Vec<Vec<String>> {
    let lines = sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut bare = String::new();
    for (place, part) in code.split("$$").enumerate() {
        if place % 2 == 0 {
            bare.push_str(part);
        }
    }
    let outside: Vec<&str> = bare.split('\'').step_by(2).collect();
    outside
        .join(" ")
        .replace('(', "( ")
        .split(';')
        .map(|statement| statement.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MIGRATIONS;

    fn sql(version: i64) -> &'static str {
        let found = MIGRATIONS.iter().find(|it| it.version == version).unwrap();
        found.sql.as_str()
    }

    #[test]
    fn every_migration_says_in_a_sentence_what_it_does() {
        for migration in MIGRATIONS.iter() {
            let says = first_sentence(migration.sql.as_str());
            assert!(says.ends_with('.') && says.len() > 10, "{}: {says:?}", migration.version);
        }
        assert_eq!(
            first_sentence(sql(33)),
            "Values that may be secrets are sealed by the program, which has the keys: the database holds none."
        );
    }

    #[test]
    fn tables_are_named_of_which_every_row_is_read_or_written() {
        for (version, tables) in [
            (1, vec![]),
            (5, vec![]),
            (7, vec!["application"]),
            (14, vec![]),
            (22, vec!["event"]),
            (25, vec!["change_order"]),
            (26, vec!["event"]),
            (32, vec!["change_order"]),
            (46, vec![]),
            (51, vec![]),
            (60, vec!["change_order", "release"]),
        ] {
            assert_eq!(held_up(sql(version)), tables, "{version}");
        }
    }

    #[test]
    fn a_statement_that_ends_earlier_programs_is_found() {
        let says = "-- Gone.\nUPDATE installation SET programs_since = 61;";
        assert!(ends_earlier_programs(says));
        assert!(!ends_earlier_programs("-- UPDATE installation SET programs_since = 61;"));
        for version in [20, 21, 25, 34] {
            assert!(takes_away(sql(version)), "{version}");
        }
        for version in [22, 30, 31, 35, 38, 41, 44, 46, 49, 51, 54, 60] {
            assert!(!takes_away(sql(version)), "{version}");
        }
    }

    #[test]
    fn a_migration_that_takes_something_away_ends_the_programs_of_before() {
        let since = super::super::FIRST_OF_THE_RULE;
        for migration in MIGRATIONS.iter().filter(|it| it.version > since) {
            let sql = migration.sql.as_str();
            assert!(
                !takes_away(sql) || ends_earlier_programs(sql),
                "{}: it takes something away, so it must say UPDATE installation SET programs_since = {0}",
                migration.version
            );
        }
    }
}
