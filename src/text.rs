//! Texts of bounded length, for what people read in conditions and Events.

/// One line of at most `max` characters; what is cut off is shown by an ellipsis.
///
/// Line breaks and other control characters become single spaces: the texts come from kubelets,
/// registries and admission policies, and end up in tables.
pub fn one_line(text: &str, max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max {
        return line;
    }
    let mut cut: String = line.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// An error with its whole chain of causes, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    one_line(&text, CHAIN)
}

/// How long a logged chain of causes may be.
const CHAIN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn short_texts_stay() {
        assert_eq!(one_line("all is well", 11), "all is well");
    }

    #[test]
    fn line_breaks_become_spaces() {
        assert_eq!(one_line(" a\r\n\tb \u{1b}[31m c\n", 40), "a b [31m c");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(one_line("äöüäöü", 4), "äöü…");
        assert_eq!(one_line(&"x ".repeat(10_000), 300).chars().count(), 300);
    }
}
