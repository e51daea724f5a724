use bitcoin::ScriptBuf;
use protocol::coinbase::CoinbasePlan;
use protocol::target::Target;
use protocol::work::PrevHash;

use super::*;

/// One of each.
pub(crate) fn all() -> Vec<PoolEvent> {
    let (client_id, channel_id, job_id, hash) = (1, 2, 3, String::new);
    vec![
        PoolEvent::TemplateReceived {
            template_id: 1,
            height: None,
            is_future: true,
        },
        PoolEvent::PrevHashReceived {
            prev_hash: hash(),
            template_id: 1,
            height: Some(1),
        },
        PoolEvent::ClientConnected {
            client_id,
            peer: String::new(),
            vendor: String::new(),
            firmware: String::new(),
            device_id: String::new(),
        },
        PoolEvent::ClientDisconnected {
            client_id,
            reason: String::new(),
        },
        PoolEvent::ChannelOpened {
            client_id,
            channel_id,
            group_channel_id: 1,
            user_identity: String::new(),
            channel_type: "standard",
            difficulty: 1.0,
        },
        PoolEvent::ChannelClosed {
            client_id,
            channel_id,
        },
        PoolEvent::ChannelRetargeted {
            client_id,
            channel_id,
            difficulty: 1.0,
            hashrate: 1.0,
        },
        PoolEvent::JobCreated {
            client_id,
            channel_id,
            job_id,
            template_id: None,
            is_future: false,
        },
        PoolEvent::ShareAccepted {
            client_id,
            channel_id,
            job_id,
            hash: hash(),
            difficulty: 1.0,
            worker: None,
        },
        PoolEvent::ShareRejected {
            client_id,
            channel_id,
            job_id,
            error_code: "stale-share",
            worker: None,
        },
        PoolEvent::BlockFound {
            client_id,
            channel_id,
            job_id,
            hash: hash(),
            height: None,
            template_id: None,
            user_identity: String::new(),
        },
        PoolEvent::BlockJudged {
            hash: hash(),
            height: None,
            verdict: "accepted",
        },
    ]
}

#[test]
fn an_event_has_one_name_in_the_filter_the_stream_and_its_data() {
    let all = all();
    assert_eq!(all.len(), PoolEvent::NAMES.len());
    for (event, name) in all.iter().zip(PoolEvent::NAMES) {
        assert_eq!(event.name(), *name);
        assert_eq!(serde_json::to_value(event).unwrap()["type"], *name);
    }
}

fn template(id: u64) -> Arc<Template> {
    Arc::new(Template {
        session: 1,
        id,
        version: 0,
        coinbase_tx_version: 0,
        coinbase_prefix: vec![0x51],
        coinbase_tx_input_sequence: 0,
        coinbase_tx_value_remaining: 0,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: Vec::new(),
        coinbase_tx_locktime: 0,
        merkle_path: Vec::new(),
        plan: Arc::new(CoinbasePlan {
            reward_script: ScriptBuf::new(),
            signature: Vec::new(),
            extranonce_len: 0,
        }),
        coinbase: Arc::default(),
    })
}

fn tip(byte: u8) -> Arc<PrevHash> {
    Arc::new(PrevHash {
        prev_hash: [byte; 32],
        header_timestamp: 0,
        n_bits: 0,
        target: Target::MAX,
    })
}

#[test]
fn what_is_new_in_work_is_told_once() {
    let [first, second, third] = [1, 2, 3].map(template);
    let work =
        |prev_hash: &Arc<PrevHash>, template: &Arc<Template>, futures: &[&Arc<Template>]| Work {
            prev_hash: Arc::clone(prev_hash),
            template: Arc::clone(template),
            futures: futures.iter().copied().cloned().collect(),
            past: Arc::default(),
        };
    let (old, new) = (tip(1), tip(2));
    let steps = [
        (work(&old, &first, &[]), "template 1, tip 01 with 1"),
        (work(&old, &first, &[]), ""),
        (work(&old, &first, &[&second]), "ahead 2"),
        (work(&old, &third, &[&second]), "template 3"),
        (work(&new, &second, &[]), "tip 02 with 2"),
    ];
    let mut before = None;
    for (work, expected) in steps {
        let news = PoolEvent::of_work(before.as_ref(), &work);
        let told: Vec<_> = news
            .iter()
            .map(|event| match event {
                PoolEvent::TemplateReceived {
                    template_id,
                    height: Some(1),
                    is_future,
                } => format!(
                    "{} {template_id}",
                    if *is_future { "ahead" } else { "template" }
                ),
                PoolEvent::PrevHashReceived {
                    prev_hash,
                    template_id,
                    ..
                } => format!("tip {} with {template_id}", &prev_hash[..2]),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.join(", "), expected);
        before = Some(work);
    }
}
