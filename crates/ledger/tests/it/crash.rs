//! A process that records shares as fast as it can, and what is left of it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use ledger::{Outcome, Record, Settings, Share, Source};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn source(user: &str) -> Arc<Source> {
    let peer = ([10, 10, 0, 10], 50_000).into();
    Arc::new(Source::new(peer, 2, user.to_owned(), None))
}

fn share(source: &Arc<Source>, number: u64) -> Record {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    Record::Share(Share {
        source: Arc::clone(source),
        time_ms: 1_700_000_000_000 + number,
        job_id: 1,
        outcome: Outcome::Accepted {
            hash: BlockHash::from_byte_array(hash),
            hashes: 1.0,
        },
    })
}

/// Says to the child where its ledger is.
const DIRECTORY: &str = "LEDGER_OF_A_TEST";
/// Says to the child how many bytes a file may have.
const LIMIT: &str = "LIMIT_OF_A_TEST";

/// A child, and what it says.
struct Process {
    child: Child,
    /// Shares that it said are recorded.
    recorded: u64,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(directory: &Path, limit: Option<u64>) -> Self {
        let mut command = Command::new("sh");
        // A file that may not grow is to be an error for the child, not a signal.
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "crash::child", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(limit) = limit {
            command.env(LIMIT, limit.to_string());
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            recorded: 0,
            lines,
        }
    }

    /// The next thing it says that begins with `what`; `None` at its end.
    fn says(&mut self, what: &str) -> Option<String> {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines.find_map(|line| Some(line.strip_prefix(what)?.to_owned()))
    }

    /// Waits until more shares are recorded. `false` at its end.
    fn records(&mut self) -> bool {
        let Some(number) = self.says("recorded ") else {
            return false;
        };
        self.recorded = number.parse().unwrap();
        true
    }

    /// Ends it as nothing else does. Returns how many shares it was told are recorded.
    fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        while self.records() {}
        self.child.wait().unwrap();
        self.recorded
    }
}

/// Accepted shares in the ledger, which must fit together.
fn accepted(directory: &Path) -> u64 {
    let settings = Settings {
        directory: directory.to_owned(),
        keep: 1 << 30,
    };
    let (ledger, recorders, closed) = ledger::open(&settings, 1, CancellationToken::new()).unwrap();
    drop(recorders);
    closed.blocking_recv().unwrap();
    let report = ledger::verify(directory).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    ledger.totals().borrow().accepted
}

#[test]
fn after_kill_9_nothing_acknowledged_is_missing() {
    let directory = TempDir::new().unwrap();
    let mut before = 0;
    for round in 1..=5 {
        let mut process = Process::start(directory.path(), None);
        for _ in 0..10 * round {
            assert!(process.records());
        }
        let acknowledged = process.kill();
        assert!(acknowledged >= 10 * round);
        let now = accepted(directory.path());
        assert!(
            now >= before + acknowledged,
            "{now} of {before} + {acknowledged}"
        );
        before = now;
    }
}

#[test]
fn when_the_disk_is_full_nothing_is_acknowledged_until_there_is_room_again() {
    let directory = TempDir::new().unwrap();
    let mut process = Process::start(directory.path(), Some(8 << 20));
    let trouble = process.says("trouble ").unwrap();
    let expected = format!(
        "cannot write the ledger in {}: ",
        directory.path().display()
    );
    assert!(trouble.starts_with(&expected), "{trouble}");
    assert!(trouble.contains("File too large"), "{trouble}");
    assert!(
        trouble.ends_with("free some space, or repair the disk"),
        "{trouble}"
    );
    let mut stdin = process.child.stdin.take().unwrap();
    stdin.write_all(b"there is room\n").unwrap();
    process.says("no trouble").unwrap();
    assert!(process.records());
    let acknowledged = process.kill();
    assert!(accepted(directory.path()) >= acknowledged);
}

/// The child: says what it is told.
#[test]
#[ignore = "a process of the other tests"]
fn child() {
    let limit = std::env::var(LIMIT)
        .ok()
        .map(|limit| limit.parse().unwrap());
    let (_, all) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    if let Some(limit) = limit {
        setrlimit(Resource::RLIMIT_FSIZE, limit, all).unwrap();
        std::thread::spawn(move || {
            std::io::stdin().read_line(&mut String::new()).unwrap();
            setrlimit(Resource::RLIMIT_FSIZE, all, all).unwrap();
        });
    }
    let settings = Settings {
        directory: std::env::var_os(DIRECTORY).unwrap().into(),
        keep: 1 << 30,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (ledger, recorders, _closed) =
            ledger::open(&settings, 1, CancellationToken::new()).unwrap();
        let mut trouble = ledger.trouble();
        let mut recorder = recorders.recorder();
        // Few shares at a time for who kills, many for who fills the disk.
        let batch = if limit.is_some() { 900 } else { 3 };
        let source = source("alice");
        for number in (0..).step_by(batch) {
            for number in number..number + batch {
                recorder.record(share(&source, number as u64));
            }
            recorder.hand_over();
            loop {
                tokio::select! {
                    recorded = recorder.recorded() => {
                        println!("recorded {recorded}");
                        break;
                    }
                    changed = trouble.changed() => {
                        changed.unwrap();
                        match &*trouble.borrow_and_update() {
                            Some(what) => println!("trouble {what}"),
                            None => println!("no trouble"),
                        }
                    }
                }
            }
        }
    });
}
