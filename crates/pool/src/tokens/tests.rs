use super::*;

#[test]
fn a_token_is_used_once() {
    // POOL-78, T-19
    let mut spent = SpentTokens::default();
    assert!(spent.spend([1; 16], 100, 10));
    assert!(spent.spend([2; 16], 100, 10));
    assert!(!spent.spend([1; 16], 100, 11));
}

#[test]
fn a_token_that_nobody_takes_any_more_is_forgotten() {
    let mut spent = SpentTokens::default();
    spent.spend([1; 16], 100, 10);
    spent.spend([2; 16], 200, 10);
    spent.spend([3; 16], 300, 100);
    assert_eq!(spent.0.len(), 2);
    assert!(!spent.spend([2; 16], 200, 199));
}

#[test]
fn what_cannot_be_remembered_is_refused() {
    let mut spent = SpentTokens::default();
    for number in 0..MAX_SPENT as u128 {
        assert!(spent.spend(number.to_le_bytes(), 100, 10));
    }
    assert!(!spent.spend([0xff; 16], 100, 10));
    assert!(spent.spend([0xff; 16], 200, 100));
}

#[tokio::test]
async fn the_connection_that_showed_a_token_is_answered() {
    let (shown, receiver) = mpsc::channel(4);
    let keeper = tokio::spawn(keep(receiver));
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
