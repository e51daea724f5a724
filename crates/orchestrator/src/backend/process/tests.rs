//! The supervisor with real children: shells that end, stay, and write down when they are stopped.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::backend::Exit;
use crate::progress;
use crate::service::Restart;

/// Longest time anything here may take; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// A supervisor in this process, and where it keeps things.
struct Supervised {
    _home: tempfile::TempDir,
    state: StateDir,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Supervised {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::new(home.path(), "sv2lab").unwrap();
        create_private_dir(&state.path().join("logs")).unwrap();
        let stop = CancellationToken::new();
        let (its_state, its_stop) = (state.clone(), stop.clone());
        let task = tokio::spawn(async move { supervisor::run(&its_state, its_stop).await });
        let supervised = Self {
            _home: home,
            state,
            stop,
            task,
        };
        let nobody = Request::Status("nobody".to_owned());
        until(async || wire::ask(&supervised.state, &nobody).await.is_ok()).await;
        supervised
    }

    fn shell(&self, service: &str, script: &str) -> Launch {
        Launch {
            service: service.to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: [].into(),
            needs: Vec::new(),
            log: self.state.log_file(service),
            restart: Restart::Always,
            stop_grace: DEADLINE,
        }
    }

    async fn start(&self, launch: Launch) {
        let reply = wire::ask(&self.state, &Request::Start(launch)).await;
        assert!(matches!(reply.unwrap(), Reply::Done));
    }

    async fn status(&self, service: &str) -> ServiceStatus {
        let request = Request::Status(service.to_owned());
        match wire::ask(&self.state, &request).await.unwrap() {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.state.log_file(service)).unwrap_or_default()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        // Also what a killed shell had started itself, which ends a moment later.
        until(async || leftovers::find(self.state.path()).is_empty()).await;
    }
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "it never came true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_killed_child_comes_back() {
    let supervised = Supervised::new().await;
    supervised
        .start(supervised.shell("pool", "exec sleep 1000"))
        .await;
    until(async || supervised.status("pool").await.pid.is_some()).await;
    let first = supervised.status("pool").await.pid.unwrap();
    kill(Pid::from_raw(first.cast_signed()), Signal::SIGKILL).unwrap();
    until(async || supervised.status("pool").await.restarts == 1).await;
    until(async || supervised.status("pool").await.state == State::Running).await;
    let status = supervised.status("pool").await;
    assert_eq!(status.exit, Some(Exit::Signal(9)));
    assert_ne!(status.pid, Some(first));
    let log = supervised.log("pool");
    assert!(
        log.contains("lab: pool ended with signal 9, SIGKILL"),
        "{log}"
    );
    supervised.end().await;
}

#[tokio::test]
async fn a_child_that_is_killed_on_purpose_has_not_ended_by_itself() {
    let supervised = Supervised::new().await;
    let launch = supervised.shell("pool", "exec sleep 1000");
    for _ in 0..3 {
        supervised.start(launch.clone()).await;
        until(async || supervised.status("pool").await.pid.is_some()).await;
        let status = supervised.status("pool").await;
        assert_eq!(status.restarts, 0);
        let pid = status.pid.unwrap();
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        let stop = Request::Stop("pool".to_owned());
        let reply = wire::ask(&supervised.state, &stop).await;
        assert!(matches!(reply.unwrap(), Reply::Done));
        assert_eq!(supervised.status("pool").await.state, State::Stopped);
    }
    supervised.end().await;
}

#[tokio::test]
async fn a_child_that_crashes_at_once_is_started_less_and_less_often() {
    let supervised = Supervised::new().await;
    supervised
        .start(supervised.shell("pool", "echo no template; exit 3"))
        .await;
    until(async || supervised.log("pool").contains("again in 400ms")).await;
    // Now and then it runs for a moment.
    until(async || supervised.status("pool").await.state == State::Restarting).await;
    let status = supervised.status("pool").await;
    assert_eq!(status.exit, Some(Exit::Code(3)));
    let log = supervised.log("pool");
    for line in ["no template", "again in 100ms", "again in 200ms"] {
        assert!(log.contains(line), "{log}");
    }
    supervised.end().await;
}

#[tokio::test]
async fn a_child_with_an_end_of_its_own_is_not_started_again() {
    let supervised = Supervised::new().await;
    let mut launch = supervised.shell("mining-device", "exit 0");
    launch.restart = Restart::OnFailure;
    supervised.start(launch).await;
    until(async || supervised.status("mining-device").await.state == State::Stopped).await;
    assert_eq!(supervised.status("mining-device").await.restarts, 0);
    supervised.end().await;
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_named_in_its_log() {
    let supervised = Supervised::new().await;
    let mut launch = supervised.shell("pool", "");
    launch.program = "/nonexistent/pool".into();
    supervised.start(launch).await;
    until(async || supervised.status("pool").await.state == State::Restarting).await;
    let log = supervised.log("pool");
    assert!(log.contains("cannot run /nonexistent/pool"), "{log}");
    supervised.end().await;
}

#[tokio::test]
async fn children_are_stopped_before_those_they_need() {
    let supervised = Supervised::new().await;
    let stopped = supervised.state.path().join("stopped");
    for (service, needs) in [
        ("node", vec![]),
        ("pool", vec!["node"]),
        ("miner", vec!["pool"]),
    ] {
        let script = format!(
            "trap 'echo {service} >> {}; exit 0' TERM; echo up; while :; do sleep 0.01; done",
            stopped.display()
        );
        let mut launch = supervised.shell(service, &script);
        launch.needs = needs.into_iter().map(str::to_owned).collect();
        supervised.start(launch).await;
        until(async || supervised.log(service).contains("up")).await;
    }
    supervised.stop.cancel();
    supervised.task.await.unwrap().unwrap();
    let order = std::fs::read_to_string(stopped).unwrap();
    assert_eq!(order, "miner\npool\nnode\n");
}

#[tokio::test]
async fn starting_twice_is_starting_once_but_a_changed_service_is_replaced() {
    let supervised = Supervised::new().await;
    let launch = supervised.shell("pool", "exec sleep 1000");
    supervised.start(launch.clone()).await;
    until(async || supervised.status("pool").await.pid.is_some()).await;
    let first = supervised.status("pool").await.pid;
    supervised.start(launch).await;
    assert_eq!(supervised.status("pool").await.pid, first);
    supervised
        .start(supervised.shell("pool", "exec sleep 1001"))
        .await;
    until(async || {
        supervised
            .status("pool")
            .await
            .pid
            .is_some_and(|pid| Some(pid) != first)
    })
    .await;
    supervised.end().await;
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_after_its_grace() {
    let supervised = Supervised::new().await;
    let mut launch = supervised.shell(
        "pool",
        "trap '' TERM; echo up; while :; do sleep 0.01; done",
    );
    launch.stop_grace = Duration::from_millis(50);
    supervised.start(launch).await;
    until(async || supervised.log("pool").contains("up")).await;
    let request = Request::Stop("pool".to_owned());
    let reply = wire::ask(&supervised.state, &request).await;
    assert!(matches!(reply.unwrap(), Reply::Done));
    let status = supervised.status("pool").await;
    assert_eq!(status.state, State::Stopped);
    assert_eq!(status.exit, Some(Exit::Signal(9)));
    supervised.end().await;
}

#[tokio::test]
async fn a_supervisor_without_its_directory_ends() {
    let supervised = Supervised::new().await;
    std::fs::remove_dir_all(supervised.state.path()).unwrap();
    tokio::time::timeout(DEADLINE, supervised.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

fn marked(state: &Path, service: &str) -> std::process::Child {
    std::process::Command::new("/bin/sleep")
        .arg("1000")
        .env(STATE_MARKER, state)
        .env(SERVICE_MARKER, service)
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn leftovers_are_found_by_exactly_their_lab_and_ended() {
    let home = tempfile::tempdir().unwrap();
    let (ours, others) = (home.path().join("lab"), home.path().join("lab-2"));
    let mut left = marked(&ours, "pool");
    let mut stranger = marked(&others, "pool");
    until(async || leftovers::find(&ours).len() == 1).await;
    until(async || leftovers::find(&others).len() == 1).await;
    assert_eq!(leftovers::end(&ours).await.unwrap(), ["pool"]);
    assert!(!left.wait().unwrap().success());
    assert_eq!(stranger.try_wait().unwrap(), None);
    leftovers::end(&others).await.unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn who_is_paused_stands_still_when_pause_is_back() {
    let mut busy = std::process::Command::new("/bin/sh")
        .args(["-c", "while :; do :; done"])
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(busy.id().try_into().unwrap());
    for _ in 0..20 {
        leftovers::pause(busy.id()).await.unwrap();
        let seen = waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
        assert_eq!(seen, Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)));
        leftovers::signal(busy.id(), Signal::SIGCONT).unwrap();
    }
    busy.kill().unwrap();
    busy.wait().unwrap();
}

#[tokio::test]
async fn without_a_supervisor_children_are_still_seen() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::new(home.path(), "sv2lab").unwrap();
    let process = Process::new(state.clone(), Programs::default());
    assert_eq!(process.status("pool").await.unwrap().state, State::Absent);
    let mut left = marked(state.path(), "pool");
    until(async || process.status("pool").await.unwrap().state == State::Unsupervised).await;
    let removed = process.remove(&progress::silent).await.unwrap();
    assert_eq!(removed.processes, ["pool"]);
    left.wait().unwrap();
}
