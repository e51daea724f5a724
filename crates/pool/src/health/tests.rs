use super::*;

#[tokio::test]
async fn a_pool_is_ready_when_it_has_work_and_can_record() {
    let (provider, provider_seen) = watch::channel(Health::not_ready("no provider"));
    let (trouble, trouble_seen) = watch::channel(None);
    let (joined, mut seen) = watch::channel(Health::not_ready("starting"));
    let task = tokio::spawn(join(provider_seen, trouble_seen, joined));
    let mut wait_for = async |expected: Health| {
        seen.wait_for(|now| *now == expected).await.unwrap();
    };
    wait_for(Health::not_ready("no provider")).await;
    provider.send_replace(Health::Ready);
    wait_for(Health::Ready).await;
    trouble.send_replace(Some("disk full".to_owned()));
    wait_for(Health::not_ready("disk full")).await;
    provider.send_replace(Health::not_ready("no provider"));
    trouble.send_replace(None);
    wait_for(Health::not_ready("no provider")).await;
    drop(provider);
    task.await.unwrap();
}
