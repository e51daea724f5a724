//! The command card: every line of it does what it says.

use crate::site::{Backend, Site};

#[test]
fn every_line_of_the_command_card_runs() {
    let card = include_str!("../../../../cmds.txt");
    let lines = card
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let site = Site::new(Backend::Process);
    for line in lines {
        let words = words(line);
        let (program, arguments) = words.split_first().unwrap();
        assert_eq!(program, "lab", "{line}");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = match arguments.split_first() {
            // On addresses of the test's own.
            Some((&"up", more)) => site.lab(&site.up_arguments(more)),
            _ => site.lab(&arguments),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
    }
    site.assert_gone();
}

/// As a shell parts them, as far as the card needs it.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}
