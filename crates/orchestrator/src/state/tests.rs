use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fault;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn record() -> Record {
    Record {
        backend: BackendKind::Process,
        subnet: Subnet::PROCESS,
        bind: Ipv4Addr::LOCALHOST,
        topology: "about = 'x'".to_owned(),
        replicas: BTreeMap::new(),
        swaps: BTreeMap::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lab_without_a_record_does_not_exist_yet() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::new(home.path(), "sv2lab").unwrap();
    assert_eq!(state.record().unwrap(), None);
    let _lock = state.lock().await.unwrap();
    assert_eq!(state.record().unwrap(), None);
    state.save_record(&record()).unwrap();
    assert_eq!(state.record().unwrap(), Some(record()));
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_enters_the_directory_and_reads_its_files() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::new(home.path(), "sv2lab").unwrap();
    let _lock = state.lock().await.unwrap();
    state.save_record(&record()).unwrap();
    assert_eq!(mode(state.path()), 0o700);
    assert_eq!(mode(&state.path().join("lab.json")), 0o600);
    assert_eq!(mode(&state.path().join("lock")), 0o600);
}

#[test]
fn a_private_file_loses_the_mode_of_what_it_replaces() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    write_private(&file, b"new").unwrap();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(fs::read(&file).unwrap(), b"new");
}

#[tokio::test(start_paused = true)]
async fn a_second_command_is_told_who_holds_the_lab() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::new(home.path(), "sv2lab").unwrap();
    let lock = state.lock().await.unwrap();
    let error = state.lock().await.unwrap_err();
    assert_eq!(fault::exit_code(&error), fault::EXIT_UNAVAILABLE);
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id()))
    );
    drop(lock);
    assert!(!state.lock().await.unwrap().was_abandoned());
}

#[tokio::test(start_paused = true)]
async fn a_lab_whose_command_was_killed_is_told_from_one_in_good_order() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::new(home.path(), "sv2lab").unwrap();
    assert!(!state.lock().await.unwrap().was_abandoned());
    fs::write(state.path().join("lock"), "12345").unwrap();
    assert!(state.lock().await.unwrap().was_abandoned());
}

#[tokio::test(start_paused = true)]
async fn removing_a_lab_leaves_a_home_the_user_chose() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::new(home.path(), "sv2lab").unwrap();
    let _lock = state.lock().await.unwrap();
    state.remove().unwrap();
    assert!(!state.path().exists());
    assert!(home.path().exists());
    state.remove().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_last_lab_takes_our_own_home_with_it() {
    let parent = tempfile::tempdir().unwrap();
    let home = parent.path().join("sv2-lab");
    let one = StateDir::new(&home, "one").unwrap();
    let two = StateDir::new(&home, "two").unwrap();
    drop((one.lock().await.unwrap(), two.lock().await.unwrap()));
    one.remove().unwrap();
    assert!(home.exists());
    two.remove().unwrap();
    assert!(!home.exists());
}

#[test]
fn a_name_must_suit_containers() {
    let home = Path::new("/tmp");
    for name in ["sv2lab", "a", "lab-2", "1_x"] {
        assert!(StateDir::new(home, name).is_ok(), "{name}");
    }
    for name in ["", "Lab", "-x", "a/b", "..", "ü", &"a".repeat(33)] {
        let error = StateDir::new(home, name).unwrap_err();
        assert_eq!(fault::exit_code(&error), fault::EXIT_USAGE, "{name}");
    }
}

#[test]
fn a_path_too_long_for_sockets_is_refused_with_the_way_out() {
    let home = PathBuf::from(format!("/tmp/{}", "x".repeat(80)));
    let error = StateDir::new(&home, "sv2lab").unwrap_err();
    let remedy = &fault::find(&error).unwrap().remedy;
    assert!(remedy.contains("SV2_LAB_HOME"), "{remedy}");
}
