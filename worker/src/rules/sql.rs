//! As much of SQL as must be known before the engine sees it: where statements end, and whether
//! one answers with rows.

use std::ops::Range;

/// Whether a statement answers with rows or with a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A query: its rows are the answer.
    Rows,
    /// A change: the number of changed rows is the answer.
    Change,
}

/// The statements of a script, trimmed, without their semicolons and without empty ones.
pub fn split(script: &str) -> impl Iterator<Item = &str> {
    let mut start = 0;
    let mut ranges = Vec::new();
    let mut holds_something = false;
    for token in Tokens::new(script) {
        if token.kind == TokenKind::Semicolon {
            if holds_something {
                ranges.push(start..token.range.start);
            }
            start = token.range.end;
            holds_something = false;
        } else {
            holds_something = true;
        }
    }
    if holds_something {
        ranges.push(start..script.len());
    }
    ranges.into_iter().map(|range: Range<usize>| script[range].trim())
}

/// What a client may expect of a statement that has not run. A guess by its words, for clients that
/// choose their call by it: what runs in the end is the engine's business.
pub fn kind(statement: &str) -> Kind {
    let mut words = Tokens::new(statement)
        .filter(|token| token.kind == TokenKind::Word)
        .map(|token| statement[token.range].to_ascii_uppercase());
    let Some(first) = words.next() else { return Kind::Change };
    match first.as_str() {
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" => {
            if words.any(|word| word == "RETURNING") {
                Kind::Rows
            } else {
                Kind::Change
            }
        }
        // `WITH x AS (…) INSERT …` is rare; it is a change if a verb of change stands in it.
        "WITH" => {
            let changes = ["INSERT", "UPDATE", "DELETE", "MERGE"];
            let rest: Vec<_> = words.collect();
            let has = |wanted: &str| rest.iter().any(|word| word == wanted);
            if changes.iter().any(|verb| has(verb)) && !has("RETURNING") {
                Kind::Change
            } else {
                Kind::Rows
            }
        }
        "CREATE" | "DROP" | "ALTER" | "TRUNCATE" | "COPY" | "SET" | "RESET" | "USE" | "ATTACH"
        | "DETACH" | "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "CHECKPOINT"
        | "FORCE" | "VACUUM" | "ANALYZE" | "LOAD" | "INSTALL" | "UPDATE_EXTENSIONS" | "EXPORT"
        | "IMPORT" | "PREPARE" | "DEALLOCATE" | "COMMENT" => Kind::Change,
        _ => Kind::Rows,
    }
}

/// Whether a statement that ran leaves a transaction open; none if it says nothing about one.
pub fn opens_transaction(statement: &str) -> Option<bool> {
    let first = Tokens::new(statement).find(|token| token.kind == TokenKind::Word)?;
    match statement[first.range].to_ascii_uppercase().as_str() {
        "BEGIN" | "START" => Some(true),
        "COMMIT" | "END" | "ROLLBACK" | "ABORT" => Some(false),
        _ => None,
    }
}

/// Quotes a name, so that it stands for itself in SQL.
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Word,
    Semicolon,
    Other,
}

#[derive(Debug, Clone)]
struct Token {
    kind: TokenKind,
    range: Range<usize>,
}

/// Words, strings, semicolons and the rest; without white space and comments.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// To the end of the next occurrence, or to the end of the text.
    fn skip_past(&mut self, end: &str) {
        self.at =
            self.rest().find(end).map_or(self.text.len(), |found| self.at + found + end.len());
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        let end = self.rest().find(|c| !keep(c));
        self.at = end.map_or(self.text.len(), |found| self.at + found);
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.skip_while(char::is_whitespace);
            if self.rest().starts_with("--") {
                self.skip_past("\n");
            } else if self.rest().starts_with("/*") {
                self.skip_block_comment();
            } else {
                return;
            }
        }
    }

    /// Block comments nest, as in `PostgreSQL`, whose parser DuckDB has.
    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else if let Some(next) = self.rest().chars().next() {
                self.at += next.len_utf8();
            } else {
                return;
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A string or a quoted name: the quote inside is doubled, which reads as two strings in a row
    /// and comes to the same. After `E` a backslash escapes as well.
    fn skip_quoted(&mut self, quote: char, has_escapes: bool) {
        self.at += quote.len_utf8();
        while let Some(next) = self.rest().chars().next() {
            self.at += next.len_utf8();
            if has_escapes && next == '\\' {
                if let Some(escaped) = self.rest().chars().next() {
                    self.at += escaped.len_utf8();
                }
            } else if next == quote {
                return;
            }
        }
    }

    /// `$$…$$` or `$name$…$name$`; anything else that begins with a dollar is a parameter.
    fn skip_dollar(&mut self) {
        let rest = self.rest();
        let name = rest[1..].find(|c: char| !is_word(c)).map_or(rest.len(), |found| found + 1);
        let is_quote =
            rest[name..].starts_with('$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if is_quote {
            let fence = &rest[..=name];
            self.at += fence.len();
            self.skip_past(fence);
        } else {
            self.at += name;
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let first = self.rest().chars().next()?;
        let kind = match first {
            ';' => {
                self.at += 1;
                TokenKind::Semicolon
            }
            '\'' | '"' => {
                self.skip_quoted(first, false);
                TokenKind::Other
            }
            '$' => {
                self.skip_dollar();
                TokenKind::Other
            }
            c if is_word(c) => {
                self.skip_while(is_word);
                let is_escape = self.text[start..self.at].eq_ignore_ascii_case("e");
                if is_escape && self.rest().starts_with('\'') {
                    self.skip_quoted('\'', true);
                    TokenKind::Other
                } else {
                    TokenKind::Word
                }
            }
            c => {
                self.at += c.len_utf8();
                TokenKind::Other
            }
        };
        Some(Token { kind, range: start..self.at })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(script: &str) -> Vec<&str> {
        split(script).collect()
    }

    #[test]
    fn a_semicolon_ends_a_statement_only_outside_of_texts_and_comments() {
        assert_eq!(parts("SELECT 1; SELECT 2"), ["SELECT 1", "SELECT 2"]);
        assert_eq!(parts("SELECT ';'';', \";\"; x"), ["SELECT ';'';', \";\"", "x"]);
        assert_eq!(parts("a -- ; no\n b; c"), ["a -- ; no\n b", "c"]);
        assert_eq!(parts("a /* ; /* ; */ ; */ b; c"), ["a /* ; /* ; */ ; */ b", "c"]);
        assert_eq!(parts("SELECT $$;$$, $x$;$$;$x$; c"), ["SELECT $$;$$, $x$;$$;$x$", "c"]);
        assert_eq!(parts("SELECT $1; SELECT $name; c"), ["SELECT $1", "SELECT $name", "c"]);
        assert_eq!(parts(r"SELECT E'\';', 'a\'; c"), [r"SELECT E'\';', 'a\'", "c"]);
        assert_eq!(parts(" ; ;\n-- nothing\n;"), Vec::<&str>::new());
        assert_eq!(parts("SELECT 'never closed; x"), ["SELECT 'never closed; x"]);
    }

    #[test]
    fn rows_are_told_from_changes() {
        let rows = [
            "SELECT 1",
            "-- c\n  select 1",
            "FROM t",
            "VALUES (1)",
            "(SELECT 1)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "SHOW TABLES",
            "PRAGMA version",
            "INSERT INTO t VALUES (1) RETURNING a",
            "EXPLAIN DELETE FROM t",
            "CALL f()",
        ];
        for statement in rows {
            assert_eq!(kind(statement), Kind::Rows, "{statement}");
        }
        let changes = [
            "INSERT INTO t VALUES ('RETURNING')",
            "/* SELECT */ create table t (a int)",
            "UPDATE t SET a = 1 -- RETURNING",
            "WITH x AS (SELECT 1) INSERT INTO t FROM x",
            "BEGIN",
            "COPY t TO 'x'",
            "",
        ];
        for statement in changes {
            assert_eq!(kind(statement), Kind::Change, "{statement}");
        }
    }

    #[test]
    fn transactions_are_seen() {
        assert_eq!(opens_transaction("/* x */ begin transaction"), Some(true));
        assert_eq!(opens_transaction("COMMIT"), Some(false));
        assert_eq!(opens_transaction("rollback"), Some(false));
        assert_eq!(opens_transaction("SELECT 'BEGIN'"), None);
        assert_eq!(opens_transaction(""), None);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote_name("a\"b"), "\"a\"\"b\"");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(script in r#"[a-eE0-9'"$;/*\-\\\n ü]{0,40}"#) {
            let mut rest = script.as_str();
            for part in split(&script) {
                let found = rest.find(part);
                prop_assert!(found.is_some(), "{part:?} of {script:?}");
                rest = &rest[found.unwrap_or_default() + part.len()..];
            }
            let _ = kind(&script);
        }
    }
}
