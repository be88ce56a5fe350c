//! `docs/scenarios.md` is complete, and whatever it names is a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many scenarios there are.
const SCENARIOS: u32 = 128;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A row of a table, but for its head: its first cell and its last.
fn rows(page: &str) -> Vec<(String, String)> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|---");
    let lines: Vec<&str> = page.lines().collect();
    let after_heads = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| !lines.get(at + 1).is_some_and(|next| next.starts_with("|---")));
    after_heads
        .map(|(_, line)| *line)
        .filter(is_row)
        .map(cells)
        .filter_map(|cells| Some((cells.first()?.clone(), cells.last()?.clone())))
        .collect()
}

/// Where a file of the page is.
fn find(path: &str) -> Option<PathBuf> {
    let places = match path.split_once('/')? {
        ("core", rest) => {
            vec![format!("crates/core/tests/{rest}"), format!("crates/core/src/{rest}")]
        }
        ("api", rest) => vec![format!("crates/api/tests/{rest}")],
        ("client", rest) => {
            vec![format!("crates/client/tests/{rest}"), format!("crates/client/{rest}")]
        }
        ("interleavings", rest) => vec![format!("crates/interleavings/{rest}")],
        ("e2e", rest) => vec![format!("e2e/tests/{rest}")],
        ("worker" | "src", _) => vec![path.to_owned()],
        _ => return None,
    };
    places.into_iter().map(|place| top().join(place)).find(|path| path.is_file())
}

/// The tests that a cell names: a file in backticks, and after it functions, with commas between.
fn tests_in(cell: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in cell.split(';') {
        let mut pieces = part.split('`').skip(1);
        while let (Some(file), Some(after)) = (pieces.next(), pieces.next()) {
            let after = after.split('(').next().unwrap_or_default();
            let words = after.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let names = words.filter(|word| word.matches('_').count() >= 2);
            found.extend(names.map(|name| (file.to_owned(), name.to_owned())));
        }
    }
    found
}

/// Whether a file has a test of this name: a function with the attribute of one above it.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().filter(|(_, line)| line.contains(&head)).any(|(at, _)| {
        let above = lines[..at].iter().rev();
        let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// The scenarios that a cell refers to: `C7`, not `C7x`.
fn scenarios_in(cell: &str) -> bool {
    let words = cell.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter_map(|word| word.strip_prefix('C')).any(|number| number.parse::<u32>().is_ok())
}

#[test]
fn every_scenario_names_a_test_that_exists_or_says_why_not() -> std::io::Result<()> {
    let page = std::fs::read_to_string(top().join("docs/scenarios.md"))?;
    let mut numbers: BTreeMap<u32, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (head, cell) in rows(&page) {
        let number = head.strip_prefix('C').and_then(|number| number.parse::<u32>().ok());
        if let Some(number) = number {
            *numbers.entry(number).or_default() += 1;
        }
        let tests = tests_in(&cell);
        // An accident or a trap may be a scenario that has its tests.
        let explained = cell.contains("*none*") || number.is_none() && scenarios_in(&cell);
        if tests.is_empty() && !explained {
            wrong.push(format!("{head} names no test and does not say why"));
        }
        if cell.contains("*later*") {
            wrong.push(format!("{head} is put off"));
        }
        for (file, name) in tests {
            match find(&file) {
                None => wrong.push(format!("{head}: there is no file {file}")),
                Some(path) if !has_test(&std::fs::read_to_string(&path)?, &name) => {
                    wrong.push(format!("{head}: there is no test {name} in {file}"));
                }
                Some(_) => {}
            }
        }
    }
    let all: BTreeSet<u32> = (1..=SCENARIOS).collect();
    let known: BTreeSet<u32> = numbers.keys().copied().collect();
    assert_eq!(known, all, "a scenario is missing or unknown");
    assert!(
        numbers.values().all(|count| *count == 1),
        "a scenario stands there twice: {numbers:?}"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn a_cell_is_read_as_people_read_it() {
    let cell =
        "pod: `e2e/a.rs` one_two_three, four_five_six (why_not_this_one); `core/b.rs` (note)";
    let expected = [("e2e/a.rs", "one_two_three"), ("e2e/a.rs", "four_five_six")];
    let expected: Vec<_> = expected.map(|(f, n)| (f.to_owned(), n.to_owned())).into();
    assert_eq!(tests_in(cell), expected);
}

#[test]
fn a_helper_is_no_test() {
    let source = "#[test]\nfn one_two_three() {}\n\nfn four_five_six() {}\n\n\
                  #[tokio::test(flavor = \"x\")]\n/// Why.\nasync fn seven_eight_nine() {}\n";
    assert!(has_test(source, "one_two_three") && has_test(source, "seven_eight_nine"));
    assert!(!has_test(source, "four_five_six") && !has_test(source, "ten_eleven_twelve"));
}
