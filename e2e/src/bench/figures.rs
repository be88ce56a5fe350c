//! Figures, and tables of them.

use std::time::Duration;

/// The value below which this part of the sample lies; zero of nothing.
pub fn percentile<T: Ord + Copy + Default>(sample: &[T], part: f64) -> T {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "samples have thousands of values"
    )]
    let place = (last as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// The middle value.
pub fn median(sample: &[Duration]) -> Duration {
    percentile(sample, 0.5)
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// One time as a multiple of another.
pub fn ratio(above: Duration, below: Duration) -> f64 {
    above.as_secs_f64() / below.as_secs_f64()
}

/// So many in this time, each second.
pub fn rate(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// So many for each of those.
pub fn per(count: usize, each: usize) -> f64 {
    let float = |number| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    float(count) / float(each)
}

/// Prints rows as a table: the first column to the left, the others to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width =
        |column: usize| all().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    for row in all() {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column).unwrap_or_default();
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("  {}", cells.collect::<Vec<_>>().join("  "));
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_sample_in_any_order() {
        let sample: Vec<_> = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(median(&sample), Duration::from_millis(51));
        assert_eq!(percentile(&sample, 0.99), Duration::from_millis(100));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
