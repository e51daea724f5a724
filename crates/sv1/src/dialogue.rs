//! What firmware of several kinds says to a server and hears from it, for tests of both ends.
//!
//! The files in `dialogues/` are text: a line starting with `>` is the miner's, one with `<` the
//! server's, one with `#` a remark. They were written from how the firmware behaves on the wire.

/// One connection from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// The kind of firmware.
    pub name: &'static str,
    /// What is said, in order, without the ends of lines.
    pub turns: Vec<Turn>,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The miner's.
    Miner(&'static str),
    /// The server's.
    Server(&'static str),
}

macro_rules! dialogues {
    ($($name:literal),* $(,)?) => {
        vec![$(Dialogue::read($name, include_str!(concat!("../dialogues/", $name, ".txt")))),*]
    };
}

impl Dialogue {
    /// All there are.
    pub fn all() -> Vec<Self> {
        dialogues![
            "bosminer",
            "cgminer",
            "cgminer-resumed",
            "esp-miner",
            "minerd",
            "sloppy",
            "whatsminer",
        ]
    }

    fn read(name: &'static str, text: &'static str) -> Self {
        let turn = |line: &'static str| match line.split_at_checked(1)? {
            (">", rest) => Some(Turn::Miner(rest.trim())),
            ("<", rest) => Some(Turn::Server(rest.trim())),
            _ => None,
        };
        Self {
            name,
            turns: text.lines().filter_map(turn).collect(),
        }
    }
}
