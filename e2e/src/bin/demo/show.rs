//! How the demo speaks.

/// A step begins.
pub fn step(text: &str) {
    println!("\n=== {text}");
}

/// Something is explained.
pub fn say(text: &str) {
    println!("    {text}");
}

/// A command and what it printed.
pub fn command(command: &str, output: &str) {
    println!("    $ {command}");
    for line in output.lines() {
        println!("      {line}");
    }
}

/// The last line.
pub fn verdict(text: &str) {
    println!("\n{text}");
}
