//! Makes a picture of a terminal: what `tmux capture-pane -e -p` says comes in, SVG goes out.
//!
//! `tmux capture-pane -e -p -t view | cargo run -p terminal --example picture > view.svg`

use std::fmt::Write as _;
use std::io::{Read, Write as _};

/// Size of a character, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 17.0;
/// Around the text.
const MARGIN: f64 = 12.0;

/// How text looks: SGR 30 to 37, 90 to 97, bold and reversed.
#[derive(Clone, Copy, Default, PartialEq)]
struct Style {
    colour: Option<u8>,
    is_bold: bool,
    is_reversed: bool,
}

impl Style {
    fn set(&mut self, codes: &str) {
        let mut codes = codes.split(';').map(|code| code.parse().unwrap_or(0u8));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                7 => self.is_reversed = true,
                22 => self.is_bold = false,
                27 => self.is_reversed = false,
                30..=37 => self.colour = Some(code - 30),
                90..=97 => self.colour = Some(code - 90 + 8),
                39 => self.colour = None,
                // One of 256, of which views use the first sixteen.
                38 => self.colour = codes.nth(1).filter(|colour| *colour < 16),
                _ => {}
            }
        }
    }

    fn colour(self) -> &'static str {
        const COLOURS: [&str; 16] = [
            "#484f58", "#f47067", "#57ab5a", "#c69026", "#539bf5", "#b083f0", "#39c5cf", "#adbac7",
            "#768390", "#ff938a", "#6bc46d", "#daaa3f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#cdd9e5",
        ];
        self.colour.map_or("#cdd9e5", |at| COLOURS[usize::from(at)])
    }
}

/// Text of one style.
struct Run {
    style: Style,
    column: usize,
    text: String,
}

fn main() {
    let mut captured = String::new();
    std::io::stdin()
        .read_to_string(&mut captured)
        .expect("standard input is text");
    let rows: Vec<Vec<Run>> = rows(captured.trim_end());
    let columns = rows
        .iter()
        .flatten()
        .map(|run| run.column + run.text.chars().count());
    let width = columns.max().unwrap_or_default() as f64 * WIDTH + 2.0 * MARGIN;
    let height = rows.len() as f64 * HEIGHT + 2.0 * MARGIN;
    let svg = svg(&rows, width, height);
    std::io::stdout()
        .write_all(svg.as_bytes())
        .expect("somebody takes the picture");
}

/// Styles go on from one row to the next.
fn rows(captured: &str) -> Vec<Vec<Run>> {
    let mut style = Style::default();
    let mut rows = Vec::new();
    for line in captured.lines() {
        let mut runs: Vec<Run> = Vec::new();
        let mut column = 0;
        let mut parts = line.split("\u{1b}[");
        let plain = parts.next().map(|text| ("", text));
        let styled = parts.filter_map(|part| part.split_once('m'));
        for (codes, text) in plain.into_iter().chain(styled) {
            // The first part has no codes: it goes on as the row before.
            if column > 0 || !codes.is_empty() {
                style.set(codes);
            }
            // Blanks in a row would collapse.
            for text in text.split_inclusive("  ") {
                let count = text.chars().count();
                let text = text.to_owned();
                runs.push(Run {
                    style,
                    column,
                    text,
                });
                column += count;
            }
        }
        rows.push(runs);
    }
    rows
}

fn svg(rows: &[Vec<Run>], width: f64, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace\" \
         font-size=\"14\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1c2128\"/>\n"
    );
    for (number, runs) in rows.iter().enumerate() {
        let y = MARGIN + (number as f64 + 0.78) * HEIGHT;
        for run in runs.iter().filter(|run| !run.text.trim().is_empty()) {
            // Without the blanks around it, which would only be bytes.
            let text = run.text.trim_start();
            let column = run.column + run.text.chars().count() - text.chars().count();
            let text = text.trim_end();
            let count = text.chars().count() as f64;
            let x = MARGIN + column as f64 * WIDTH;
            let (mut fill, mut bold) = (run.style.colour(), "");
            if run.style.is_reversed {
                let (top, length) = (y - 0.78 * HEIGHT, count * WIDTH);
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{HEIGHT}\" \
                     fill=\"{fill}\"/>"
                );
                fill = "#1c2128";
            }
            if run.style.is_bold {
                bold = " font-weight=\"bold\"";
            }
            // The length makes columns stand below each other in whatever font there is.
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\" fill=\"{fill}\"{bold}>{}</text>",
                count * WIDTH,
                escaped(text)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
