//! A pool's core for its template provider, and what it gives the pool to mine on: whatever the
//! provider sends, the coinbases made of it are transactions and the jobs are messages.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::deserialize;
use bitcoin::{ScriptBuf, Transaction};
use protocol::coinbase::CoinbasePlan;
use protocol::message::mining::{OpenExtendedMiningChannelOwned, OpenStandardMiningChannelOwned};
use protocol::message::template::{
    NewTemplateOwned, RequestTransactionDataErrorOwned, RequestTransactionDataSuccessOwned,
    SetNewPrevHashOwned,
};
use protocol::message::{Message, MiningOwned, TemplateDistributionOwned, text};
use protocol::provider::{Constraints, ProviderClient, ProviderEvent, ProviderInput};
use protocol::server::{MiningServer, Policy, ServerInput, Solution};
use protocol::target::Target;
use protocol::work::Work;

use super::mining_server;
use crate::script::{Line, Script, frame, number, world};
use crate::stage::{Stage, beginning};

// What happens around it.
const TIME: u8 = 0;
const SOLVE: u8 = 1;
const ASK: u8 = 2;
const CONSTRAIN: u8 = 3;
const RECONNECT: u8 = 4;

/// Pays a P2WPKH script.
pub(crate) fn plan() -> CoinbasePlan {
    let mut script = vec![0, 20];
    script.extend([0x11; 20]);
    CoinbasePlan {
        reward_script: ScriptBuf::from_bytes(script),
        signature: b"fuzz".to_vec(),
        extranonce_len: mining_server::space(0).extranonce_len(),
    }
}

/// A script.
pub(crate) fn run(bytes: &[u8]) {
    play(bytes, |_| {});
}

fn play(bytes: &[u8], mut on_work: impl FnMut(&Work)) {
    let mut stage = Stage::new(ProviderClient::new(plan()), beginning());
    stage.core.connected();
    let mut miners = None;
    let mut newest: Option<Work> = None;
    for line in Script(bytes) {
        let of_newest = newest
            .as_ref()
            .map_or((0, 0), |work| (work.template.session, work.template.id));
        let (session, template_id) = of_newest;
        let step = match line {
            Line::Frame(header, payload) => stage.hear(header, payload),
            Line::World(TIME, payload) => {
                stage.pass(Duration::from_millis(number(&payload) % 100_000))
            }
            Line::World(SOLVE, coinbase) => stage.tell(ProviderInput::Solve(Solution {
                session,
                template_id,
                version: 1,
                ntime: 2,
                nonce: 3,
                coinbase,
                hash: [0; 32],
                height: None,
            })),
            Line::World(ASK, _) => stage.tell(ProviderInput::RequestTransactions {
                session,
                template_id,
            }),
            Line::World(CONSTRAIN, payload) => stage.tell(ProviderInput::Constrain(Constraints {
                size: number(&payload) as u32,
                sigops: payload.len() as u16,
            })),
            Line::World(RECONNECT, _) => {
                stage.core.connected();
                continue;
            }
            Line::World(..) => continue,
        };
        for said in &step.said {
            assert!(is_a_client_s(said), "a client does not say {said}");
        }
        for event in step.events {
            if let ProviderEvent::Work(work) = event {
                on_work(&work);
                serve(&mut miners, &work);
                newest = Some(work);
            }
        }
        if step.is_closed {
            return;
        }
    }
}

fn is_a_client_s(message: &Message) -> bool {
    use TemplateDistributionOwned as Of;
    let Message::TemplateDistribution(message) = message else {
        return false;
    };
    matches!(
        message,
        Of::SubmitSolution(_) | Of::RequestTransactionData(_) | Of::CoinbaseOutputConstraints(_)
    )
}

/// Gives the work to a connection with a channel of either kind and payout.
fn serve(miners: &mut Option<Stage<MiningServer>>, work: &Work) {
    for template in work.futures.iter().chain([&work.template]) {
        let extranonce = [7; 22];
        let coinbase = template.coinbase.full(&[&extranonce]);
        let parsed = deserialize::<Transaction>(&coinbase);
        let script_sig = parsed
            .as_ref()
            .map(|coinbase| coinbase.input[0].script_sig.len());
        assert!(
            script_sig.as_ref().is_ok_and(|len| *len <= 100),
            "{parsed:?} from {template:?}"
        );
    }
    if let Some(miners) = miners {
        miners.tell(ServerInput::Work(work.clone()));
        return;
    }
    let policy = Arc::new(Policy::default());
    let server = MiningServer::new(policy, 0, mining_server::space(0), work.clone());
    let mut stage = Stage::new(server, beginning());
    for line in Script(&opens()) {
        if let Line::Frame(header, payload) = line {
            stage.hear(header, payload);
        }
    }
    *miners = Some(stage);
}

fn opens() -> Vec<u8> {
    let max_target = [0xff; 32];
    let standard = OpenStandardMiningChannelOwned {
        request_id: 1,
        user_identity: text("miner"),
        nominal_hash_rate: 1.0,
        max_target: max_target.into(),
    };
    let extended = OpenExtendedMiningChannelOwned {
        request_id: 2,
        user_identity: text("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"),
        nominal_hash_rate: 1.0,
        max_target: max_target.into(),
        min_extranonce_size: 0,
    };
    [
        frame(MiningOwned::OpenStandardMiningChannel(standard)),
        frame(MiningOwned::OpenExtendedMiningChannel(extended)),
    ]
    .concat()
}

/// Work as a provider that means well gives it.
#[derive(Debug)]
pub(crate) struct Templates {
    client: Stage<ProviderClient>,
    id: u64,
    tip: u8,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            client: Stage::new(ProviderClient::new(plan()), beginning()),
            id: 0,
            tip: 0,
        }
    }
}

impl Templates {
    pub(crate) const VERSION: u32 = 0x2000_0000;
    /// The time of every tip.
    pub(crate) const TIME: u32 = 1_800_000_000;
    /// Regtest's: half of all hashes are blocks.
    pub(crate) const N_BITS: u32 = 0x207f_ffff;

    /// A block was found.
    pub(crate) fn tip(&mut self) -> Work {
        self.id += 1;
        self.tip = self.tip.wrapping_add(1);
        let frames = [
            new_template(self.id, true, 102),
            set_new_prev_hash(self.id, self.tip),
        ];
        self.hear(&frames.concat())
    }

    /// A template for the same tip that pays more.
    pub(crate) fn fees(&mut self) -> Work {
        self.id += 1;
        self.hear(&new_template(self.id, false, 102))
    }

    /// A template for the next tip.
    pub(crate) fn future(&mut self) -> Work {
        self.id += 1;
        self.hear(&new_template(self.id, true, 103))
    }

    fn hear(&mut self, frames: &[u8]) -> Work {
        let mut work = None;
        for line in Script(frames) {
            let Line::Frame(header, payload) = line else {
                continue;
            };
            for event in self.client.hear(header, payload).events {
                if let ProviderEvent::Work(new) = event {
                    work = Some(new);
                }
            }
        }
        work.expect("every template is work once there is a tip")
    }
}

fn new_template(template_id: u64, future_template: bool, height: u8) -> Vec<u8> {
    // Value 0 and a commitment to witnesses (BIP-0141).
    let mut commitment = vec![0; 8];
    commitment.extend([0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    commitment.extend([0xcc; 32]);
    let path = vec![[0xaa; 32].into(), [0xbb; 32].into()];
    frame(TemplateDistributionOwned::NewTemplate(NewTemplateOwned {
        template_id,
        future_template,
        version: Templates::VERSION,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, height].try_into().expect("2 bytes fit"),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000 + template_id,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: commitment.try_into().expect("47 bytes fit"),
        coinbase_tx_locktime: 101,
        merkle_path: path.try_into().expect("two fit"),
    }))
}

fn set_new_prev_hash(template_id: u64, tip: u8) -> Vec<u8> {
    frame(TemplateDistributionOwned::SetNewPrevHash(
        SetNewPrevHashOwned {
            template_id,
            prev_hash: [tip; 32].into(),
            header_timestamp: Templates::TIME,
            n_bits: Templates::N_BITS,
            target: Target::from_compact(Templates::N_BITS).to_le_bytes().into(),
        },
    ))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let first = [new_template(1, true, 102), set_new_prev_hash(1, 1)].concat();
    let success = RequestTransactionDataSuccessOwned {
        template_id: 1,
        excess_data: vec![0; 32].try_into().expect("32 bytes fit"),
        transaction_list: vec![vec![1, 2, 3].try_into().expect("3 bytes fit")]
            .try_into()
            .expect("one fits"),
    };
    let error = RequestTransactionDataErrorOwned {
        template_id: 1,
        error_code: text("stale-template-id"),
    };
    let asked = [
        world(ASK, &[]),
        frame(TemplateDistributionOwned::RequestTransactionDataSuccess(
            success,
        )),
        frame(TemplateDistributionOwned::RequestTransactionDataError(
            error,
        )),
        world(SOLVE, &[1; 60]),
        world(CONSTRAIN, &[9, 9]),
    ];
    let next = [
        new_template(2, false, 102),
        new_template(3, true, 103),
        new_template(4, true, 103),
        set_new_prev_hash(4, 2),
        world(RECONNECT, &[]),
    ];
    vec![
        [first.clone(), asked.concat()].concat(),
        [first.clone(), next.concat(), first].concat(),
        [new_template(1, false, 102), set_new_prev_hash(9, 1)].concat(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_make_work() {
        let mut works = 0;
        for seed in seeds() {
            play(&seed, |_| works += 1);
        }
        assert!(works > 4, "{works}");
    }
}
