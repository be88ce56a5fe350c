//! How the demo speaks.

/// A step begins.
pub fn step(text: &str) {
    println!("\n=== {text}");
}

/// Something is explained.
pub fn say(text: &str) {
    println!("    {text}");
}

/// Something that nobody may overlook.
pub fn warn(text: &str) {
    let line = "!".repeat(80);
    println!("\n{line}");
    for part in text.lines() {
        println!("!!! {part}");
    }
    println!("{line}");
}

/// A command and what it printed.
pub fn command(command: &str, output: &str) {
    println!("    $ {command}");
    for line in output.lines() {
        println!("      {line}");
    }
}

/// A query and its rows.
pub fn sql(query: &str, rows: &str) {
    println!("    > {query};");
    for line in rows.lines() {
        println!("      {line}");
    }
}

/// The last line.
pub fn verdict(text: &str) {
    println!("\n{text}");
}
