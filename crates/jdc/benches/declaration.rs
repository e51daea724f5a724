//! How long a template of 2,000 transactions takes to become a declaration: from NewTemplate, by way
//! of the request for its transactions, to DeclareMiningJob decrypted in the hands of the job
//! declarator server. The servers are played; the program between them is the real one.
#![allow(
    dead_code,
    reason = "the harness of the tests has more than is used here"
)]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/it/site.rs"]
mod site;

use std::time::{Duration, Instant};

use protocol::message::TemplateDistributionOwned;
use protocol::message::template::RequestTransactionDataSuccessOwned;
use regtest::want;
use site::{
    Site, accept_declaration, accept_job, give_template, give_token, give_transactions,
    hear_declaration, hear_job,
};

const TRANSACTIONS: u32 = 2_000;
/// Of each; an ordinary payment has 200 to 250.
const BYTES: usize = 220;
const ROUNDS: u64 = 200;

#[tokio::main]
async fn main() {
    let mut site = Site::start("full-template").await;
    let mut lines = site.working().await;
    give_transactions(&mut lines.provider).await;
    let first = hear_declaration(&mut lines.jds).await;
    give_token(&mut lines.jds, 3).await;
    accept_declaration(&mut lines.jds, first.request_id).await;
    let job = hear_job(&mut lines.pool).await;
    accept_job(&mut lines.pool, job.request_id, 1).await;

    let mut times = Vec::new();
    for round in 2..ROUNDS + 2 {
        let transactions = (0..TRANSACTIONS).map(|number| {
            let mut bytes = vec![round as u8; BYTES];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            bytes.try_into().unwrap()
        });
        let answer = RequestTransactionDataSuccessOwned {
            template_id: round,
            excess_data: Vec::new().try_into().unwrap(),
            transaction_list: transactions.collect::<Vec<_>>().try_into().unwrap(),
        };
        let since = Instant::now();
        give_template(&mut lines.provider, round, round as u8).await;
        let request = want!(
            lines.provider.hear().await,
            TemplateDistribution::RequestTransactionData
        );
        assert_eq!(request.template_id, round);
        let answer = TemplateDistributionOwned::RequestTransactionDataSuccess(answer);
        lines.provider.say(answer).await;
        let declared = hear_declaration(&mut lines.jds).await;
        times.push(since.elapsed());
        assert_eq!(declared.wtxid_list.len(), TRANSACTIONS as usize);
        give_token(&mut lines.jds, 4).await;
        accept_declaration(&mut lines.jds, declared.request_id).await;
        let job = hear_job(&mut lines.pool).await;
        accept_job(&mut lines.pool, job.request_id, round as u32).await;
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (median, most, worst): (Duration, Duration, Duration) = (at(0.5), at(0.95), at(1.0));
    println!(
        "NewTemplate to DeclareMiningJob, {TRANSACTIONS} transactions of {BYTES} bytes, {ROUNDS} \
         times: median {median:?}, 95 % within {most:?}, worst {worst:?}"
    );
}
