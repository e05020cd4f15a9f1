//! Rows in columns, within a width. A letter takes one column of a terminal, or two, or none.

use unicode_width::UnicodeWidthChar;

use crate::paint::{Line, Tone};

/// Between two columns.
const GAP: usize = 3;

/// No column is made narrower than this.
const LEAST: usize = 8;

/// Columns of which a part is of no use.
const WHOLE: [&str; 5] = ["ORDER", "POD", "READY", "STATE", "LAST ORDER"];

/// Rows under headings. Columns are as wide as they need; where all of them do not fit into
/// `width`, the widest give way, and what does not fit into its column ends in `…`.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], width: usize) -> Vec<Line> {
    let rows = rows.iter().map(|row| (Tone::Plain, row.clone())).collect();
    toned(headings, rows, width)
}

/// The same, with a tone for each row.
pub(crate) fn toned(headings: &[&str], rows: Vec<(Tone, Vec<String>)>, width: usize) -> Vec<Line> {
    let heading = headings.iter().map(|it| (*it).to_owned()).collect();
    let all: Vec<(Tone, Vec<String>)> =
        std::iter::once((Tone::Strong, heading)).chain(rows).collect();
    let cell_width =
        |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| columns(cell));
    let mut widths: Vec<usize> = (0..headings.len())
        .map(|column| all.iter().map(|(_, row)| cell_width(row, column)).max().unwrap_or(0))
        .collect();
    fit(headings, &mut widths, width);
    let line = |(tone, row): &(Tone, Vec<String>)| {
        let mut cells = Vec::new();
        for (cell, width) in row.iter().zip(&widths) {
            let cell = cut(cell, *width);
            let pad = width.saturating_sub(columns(&cell));
            cells.push(format!("{cell}{}", " ".repeat(pad)));
        }
        let gap = " ".repeat(GAP);
        Line::new(*tone, cut(cells.join(&gap).trim_end(), width))
    };
    all.iter().map(line).collect()
}

/// How many columns a text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|it| it.width().unwrap_or(0)).sum()
}

/// Where the first letter stands that does not fit into so many columns.
fn beyond(text: &str, room: usize) -> Option<usize> {
    let mut taken = 0;
    text.char_indices().find_map(|(at, letter)| {
        taken += letter.width().unwrap_or(0);
        (taken > room).then_some(at)
    })
}

/// Leaves the last columns out that cannot be there, and makes the widest of the others
/// narrower until all fit.
fn fit(headings: &[&str], widths: &mut Vec<usize>, width: usize) {
    let is_whole = |column: usize| WHOLE.contains(&headings[column]);
    let least = |(column, width): (usize, &usize)| {
        if is_whole(column) { *width } else { (*width).min(LEAST) }
    };
    let gaps = |count: usize| GAP * count.saturating_sub(1);
    while widths.len() > 1
        && widths.iter().enumerate().map(least).sum::<usize>() + gaps(widths.len()) > width
    {
        widths.pop();
    }
    while widths.iter().sum::<usize>() + gaps(widths.len()) > width {
        // Of several as wide as each other the last one, which tells the least.
        let may_give = |column: &usize| widths[*column] > LEAST && !is_whole(*column);
        let widest = (0..widths.len()).filter(may_give).max_by_key(|column| widths[*column]);
        let Some(column) = widest else { return };
        widths[column] -= 1;
    }
}

/// A text in lines of at most `width` columns, parted at blanks where that can be; all but the
/// first begin with `indent` blanks.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let plain: String = text.chars().filter(|it| !it.is_control()).collect();
    let (mut lines, mut rest) = (Vec::new(), plain.trim_end());
    loop {
        let pad = if lines.is_empty() { 0 } else { indent };
        // The widest letter takes two.
        let room = width.saturating_sub(pad).max(2);
        let Some(end) = beyond(rest, room) else {
            lines.push(format!("{}{rest}", " ".repeat(pad)));
            return lines;
        };
        // A blank just behind the line parts it too.
        let begin = rest.len() - rest.trim_start().len();
        let behind = rest[end..].starts_with(' ').then_some(end);
        let blank = behind.or_else(|| rest[..end].rfind(' ')).filter(|at| *at > begin);
        let (line, after) = rest.split_at(blank.unwrap_or(end));
        lines.push(format!("{}{line}", " ".repeat(pad)).trim_end().to_owned());
        rest = after.trim_start();
    }
}

/// A line without what a terminal would take for orders, and within the width.
pub(crate) fn cut(line: &str, width: usize) -> String {
    let plain: String = line.chars().filter(|it| !it.is_control()).collect();
    if beyond(&plain, width).is_none() {
        return plain;
    }
    let end = beyond(&plain, width.saturating_sub(1)).unwrap_or(plain.len());
    format!("{}…", &plain[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way_and_every_line_fits() {
        let rows = vec![vec!["shop".to_owned(), "a".repeat(40), "b".repeat(30)]];
        for width in [120, 60, 40, 20] {
            let lines = table(&["SPACE", "NAME", "IMAGE"], &rows, width);
            let longest = lines.iter().map(|line| line.text.chars().count()).max().unwrap();
            assert!(longest <= width, "{width}: {lines:#?}");
            assert!(lines[1].text.starts_with("shop "), "{width}: {lines:#?}");
        }
        let lines = table(&["SPACE", "NAME", "IMAGE"], &rows, 60);
        let expected = format!("shop    {}…   {}…", "a".repeat(24), "b".repeat(23));
        assert_eq!(lines[1].text, expected, "{lines:#?}");
        let lines = table(&["SPACE", "POD", "IMAGE"], &rows, 55);
        assert_eq!(lines[1].text, format!("shop    {}", "a".repeat(40)), "the last one goes");
    }

    #[test]
    fn a_letter_of_double_width_takes_two_columns() {
        let rows = vec![vec!["商店".to_owned(), "x".to_owned()], vec!["ab".into(), "y".into()]];
        let lines = table(&["A", "B"], &rows, 80);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text, ["A      B", "商店   x", "ab     y"]);
        assert_eq!((cut("商店商店", 8), cut("商店商店", 7)), ("商店商店".into(), "商店商…".into()));
        assert_eq!(cut("商店商店", 6), "商店…", "half a letter is none");
        assert_eq!(wrapped("商店 商店商", 5, 0), ["商店", "商店", "商"]);
        assert_eq!(columns("e\u{301}"), 1, "an accent stands above its letter");
    }

    #[test]
    fn a_long_sentence_goes_on_in_the_next_line() {
        let text = "  failed: pod web: ErrImagePull";
        assert_eq!(wrapped(text, 80, 4), [text]);
        assert_eq!(wrapped(text, 16, 4), ["  failed: pod", "    web:", "    ErrImagePull"]);
        assert_eq!(wrapped("äää äää", 3, 0), ["äää", "äää"]);
        assert_eq!(wrapped("abcdef", 4, 1), ["abcd", " ef"]);
        assert_eq!(wrapped("", 3, 0), [""]);
        assert_eq!(wrapped("ääää“…", 3, 0), ["äää", "ä“…"]);
        assert_eq!(wrapped("a ää……", 4, 0), ["a", "ää……"]);
    }

    #[test]
    fn a_row_has_the_width_of_its_longest_cell_where_there_is_room() {
        let rows = vec![vec!["1".to_owned(), "long".to_owned()], vec!["22".to_owned()]];
        let lines = table(&["A", "B"], &rows, usize::MAX);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text, ["A    B", "1    long", "22"]);
    }
}
