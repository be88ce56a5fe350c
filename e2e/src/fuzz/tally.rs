//! What came of all cases, and the last line.

use std::fmt;

use super::play::{End, Played};

/// What came of the cases so far.
#[derive(Debug, Default)]
pub struct Tally {
    specs: usize,
    refused: usize,
    carried_out: usize,
    /// How often the controller died or panicked.
    pub crashes: usize,
    /// The most calls that the controller made for one case, and which.
    pub busiest: (usize, String),
    /// What broke a rule, and how.
    pub violations: Vec<String>,
}

impl Tally {
    /// Nothing broke a rule, and there was something to break it.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.crashes == 0 && self.specs > 0
    }

    /// Takes in a case.
    pub fn enter(&mut self, played: &Played) {
        self.specs += 1;
        match &played.end {
            Ok(End::Refused) => self.refused += 1,
            Ok(End::CarriedOut) => self.carried_out += 1,
            Err(what) => self.violate(format!("{}: {what}", played.case.name)),
        }
    }

    /// Takes in what broke a rule.
    pub fn violate(&mut self, what: String) {
        println!("VIOLATION {what}");
        self.violations.push(what);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { specs, refused, carried_out, crashes, .. } = self;
        write!(
            f,
            "specs: {specs}, refused: {refused}, carried out: {carried_out}, crashes: {crashes}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_a_crash_is_not_good() {
        let mut tally = Tally { specs: 5, refused: 2, carried_out: 3, ..Tally::default() };
        assert_eq!(tally.to_string(), "specs: 5, refused: 2, carried out: 3, crashes: 0");
        assert!(tally.is_good());
        tally.crashes = 1;
        assert!(!tally.is_good());
        assert!(!Tally::default().is_good(), "nothing was tried");
    }
}
