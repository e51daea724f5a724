use std::fs;

use tempfile::TempDir;

use super::*;

/// In a directory of their own.
fn fresh() -> (SpentTokens, TempDir) {
    let directory = TempDir::new().unwrap();
    (SpentTokens::open(directory.path()).unwrap(), directory)
}

fn token(number: u128, expires: u64) -> Spent {
    (expires, number.to_le_bytes())
}

/// Of the file.
fn len(directory: &TempDir) -> u64 {
    let file = directory.path().join("spent-tokens");
    fs::metadata(file).unwrap().len()
}

#[test]
fn a_token_is_used_once() {
    // POOL-78, T-19
    let (mut spent, _directory) = fresh();
    assert!(spent.spend(token(1, 100), 10));
    assert!(spent.spend(token(2, 100), 10));
    assert!(!spent.spend(token(1, 100), 11));
}

#[test]
fn a_token_that_nobody_takes_any_more_is_forgotten() {
    let (mut spent, _directory) = fresh();
    spent.spend(token(1, 100), 10);
    spent.spend(token(2, 200), 10);
    spent.spend(token(3, 300), 100);
    assert_eq!(spent.spent.len(), 2);
    assert!(!spent.spend(token(2, 200), 199));
}

#[test]
fn what_cannot_be_remembered_is_refused() {
    let (mut spent, _directory) = fresh();
    spent.spent = (0..MAX_SPENT as u128).map(|n| token(n, 100)).collect();
    assert!(!spent.spend(token(u128::MAX, 100), 10));
    assert!(spent.spend(token(u128::MAX, 200), 100));
}

#[test]
fn a_token_used_at_a_pool_that_was_killed_is_refused_by_the_next() {
    // T-19
    let directory = TempDir::new().unwrap();
    let now = clock::unix();
    for life in 0..3 {
        let mut spent = SpentTokens::open(directory.path()).unwrap();
        assert!(spent.spend(token(life, now + 600), now));
        for used in 0..=life {
            assert!(
                !spent.spend(token(used, now + 600), now),
                "{used} in {life}"
            );
        }
        // Not even dropped.
        std::mem::forget(spent);
    }
    let before = len(&directory);
    assert_eq!(before, 3 * 24);
}

#[test]
fn what_has_expired_is_not_read_again() {
    let directory = TempDir::new().unwrap();
    let now = clock::unix();
    let mut spent = SpentTokens::open(directory.path()).unwrap();
    spent.spend(token(1, now), now - 1);
    spent.spend(token(2, now + 600), now - 1);
    let spent = SpentTokens::open(directory.path()).unwrap();
    assert_eq!(spent.spent, [token(2, now + 600)].into());
    assert_eq!(len(&directory), 24);
}

#[test]
fn half_a_record_is_nobodys_and_is_written_over() {
    let directory = TempDir::new().unwrap();
    let later = clock::unix() + 600;
    let path = directory.path().join("spent-tokens");
    let mut spent = SpentTokens::open(directory.path()).unwrap();
    spent.spend(token(1, later), later - 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0xff; 23]);
    fs::write(&path, &bytes).unwrap();
    let mut spent = SpentTokens::open(directory.path()).unwrap();
    assert_eq!(spent.spent, [token(1, later)].into());
    spent.spend(token(2, later), later - 1);
    let spent = SpentTokens::open(directory.path()).unwrap();
    assert_eq!(spent.spent, [token(1, later), token(2, later)].into());
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let (mut spent, directory) = fresh();
    let start = clock::unix();
    for now in start..start + 10_000 {
        assert!(spent.spend(token(u128::from(now), now + 10), now));
    }
    assert!(len(&directory) < 5_000 * 24, "{}", len(&directory));
    let kept = SpentTokens::open(directory.path()).unwrap();
    assert!(spent.spent.is_subset(&kept.spent), "of those still good");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("spent-tokens")).unwrap();
    let error = SpentTokens::open(directory.path()).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("ledger.directory"), "{text}");
    assert!(text.contains("spent-tokens"), "{text}");
}

#[tokio::test]
async fn the_connection_that_showed_a_token_is_answered() {
    let (spent, _directory) = fresh();
    let (shown, receiver) = mpsc::channel(4);
    let keeper = tokio::task::spawn_blocking(|| super::answer(spent, receiver));
    let (answer, mut answers) = mpsc::channel(4);
    for _ in 0..2 {
        let expires = clock::unix() + 60;
        let token = Shown {
            id: [7; 16],
            expires,
            answer: answer.clone(),
        };
        shown.send(token).await.unwrap();
    }
    let mut firsts = Vec::new();
    for _ in 0..2 {
        match answers.recv().await.unwrap() {
            ServerInput::TokenSpent { id, is_first } => {
                assert_eq!(id, [7; 16]);
                firsts.push(is_first);
            }
            other => panic!("not an answer: {other:?}"),
        }
    }
    assert_eq!(firsts, [true, false]);
    drop(shown);
    keeper.await.unwrap();
}
