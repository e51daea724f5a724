//! A template provider's reading of what its node answers, over either interface.

use std::sync::Arc;
use std::time::Duration;

use bitcoin_capnp_types::capnp::message::{ReaderOptions, TypedBuilder, TypedReader};
use bitcoin_capnp_types::capnp::{data_list, serialize};
use bitcoin_capnp_types::mining_capnp::coinbase_tx;
use daemon::node::{self, BlockHeader, ChainInfo};
use protocol::message::TemplateDistributionOwned;
use protocol::message::template::CoinbaseOutputConstraints;
use template_provider::core::TemplateServer;
use template_provider::source::{self, Constraints, Template, TemplateKey, ipc, rpc};

use crate::script::{Line, Script, frame};
use crate::stage::{Stage, beginning};

const JSON: u8 = 0;
const BLOCK: u8 = 1;
const OBJECTS: u8 = 2;

const HEADER_LEN: usize = 80;

/// The first byte says which answer follows.
pub(crate) fn run(bytes: &[u8]) {
    match bytes.split_first() {
        Some((&JSON, body)) => {
            let _: Result<BlockHeader, _> = node::result("getblockheader", body);
            let _: Result<ChainInfo, _> = node::result("getblockchaininfo", body);
            for max_additional_size in [100, 900_000] {
                let constraints = Constraints {
                    max_additional_size,
                    max_additional_sigops: 4,
                };
                if let Ok(template) = rpc::offer(body, constraints) {
                    send(constraints, template);
                }
            }
        }
        Some((&BLOCK, block)) => {
            if let Ok(transactions) = ipc::transactions(block) {
                let len: usize = transactions.iter().map(Vec::len).sum();
                assert!(len < block.len());
            }
        }
        Some((&OBJECTS, objects)) => {
            if let Some(template) = template(objects) {
                send(Constraints::default(), template);
            }
        }
        _ => {}
    }
}

/// A header and two Cap'n Proto messages, one behind the other.
fn template(objects: &[u8]) -> Option<Template> {
    let (header, mut rest) = objects.split_at_checked(HEADER_LEN)?;
    let mut message = || serialize::read_message(&mut rest, ReaderOptions::new());
    let coinbase = TypedReader::<_, coinbase_tx::Owned>::new(message().ok()?);
    let path = TypedReader::<_, data_list::Owned>::new(message().ok()?);
    ipc::offer(header, coinbase.get().ok()?, path.get().ok()?).ok()
}

/// A client is sent the template, or nothing.
fn send(constraints: Constraints, template: Template) {
    let now = beginning();
    let core = TemplateServer::connected(now, Duration::from_secs(300));
    let mut stage = Stage::new(core, now);
    let asked = TemplateDistributionOwned::CoinbaseOutputConstraints(CoinbaseOutputConstraints {
        coinbase_output_max_additional_size: constraints.max_additional_size,
        coinbase_output_max_additional_sigops: constraints.max_additional_sigops,
    });
    if let Some(Line::Frame(header, payload)) = Script(&frame(asked)).next() {
        stage.hear(header, payload);
    }
    stage.tell(source::Event::Template {
        key: TemplateKey(1),
        constraints,
        template: Arc::new(template),
    });
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let transaction = |id: char, depends: &str| {
        let (txid, wtxid) = (id.to_string().repeat(64), "b".repeat(64));
        format!(
            r#"{{"data":"0200ff","txid":"{txid}","hash":"{wtxid}","depends":[{depends}],"fee":1000,"sigops":4,"weight":400}}"#
        )
    };
    let (parent, child) = (transaction('1', ""), transaction('2', "1"));
    let json = format!(
        r#"{{"error":null,"id":0,"result":{{"capabilities":[],"version":536870912,"rules":["csv"],"vbavailable":{{}},"vbrequired":0,"previousblockhash":"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206","transactions":[{parent},{child}],"coinbaseaux":{{}},"coinbasevalue":5000002000,"longpollid":"0f","target":"7f","mintime":1,"mutable":[],"noncerange":"00","sigoplimit":80000,"sizelimit":4000000,"weightlimit":4000000,"curtime":1700000000,"bits":"207fffff","height":102,"default_witness_commitment":"6a24aa21a9ed"}}}}"#
    );
    let header = r#"{"result":{"confirmations":-1,"height":5},"error":null}"#;
    let fault = r#"{"result":null,"error":{"code":-5,"message":"not found"}}"#;
    let seed = |first: u8, body: &[u8]| [&[first][..], body].concat();
    vec![
        seed(JSON, json.as_bytes()),
        seed(JSON, header.as_bytes()),
        seed(JSON, fault.as_bytes()),
        seed(BLOCK, &block()),
        seed(OBJECTS, &objects()),
    ]
}

/// Regtest's first, with its coinbase once more.
fn block() -> Vec<u8> {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    let mut block = bitcoin::consensus::serialize(&genesis);
    block[HEADER_LEN] = 2;
    block.extend(bitcoin::consensus::serialize(&genesis.txdata[0]));
    block
}

fn objects() -> Vec<u8> {
    let mut coinbase = TypedBuilder::<coinbase_tx::Owned>::new_default();
    let mut fields = coinbase.init_root();
    fields.set_version(2);
    fields.set_script_sig_prefix(&[1, 102]);
    fields.set_witness(&[0; 32]);
    fields.set_block_reward_remaining(5_000_000_000);
    let mut outputs = fields.reborrow().init_required_outputs(1);
    outputs.set(0, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0x6a]);
    let mut path = TypedBuilder::<data_list::Owned>::new_default();
    let mut nodes = path.initn_root(1);
    nodes.set(0, &[7; 32]);
    [
        block()[..HEADER_LEN].to_vec(),
        serialize::write_message_to_words(coinbase.borrow_inner()),
        serialize::write_message_to_words(path.borrow_inner()),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_answers() {
        let [json, .., block, objects] = &seeds()[..] else {
            panic!("too few seeds");
        };
        let offered = rpc::offer(&json[1..], Constraints::default());
        assert!(offered.is_ok(), "{offered:?}");
        assert_eq!(ipc::transactions(&block[1..]).map(|all| all.len()), Ok(1));
        assert!(template(&objects[1..]).is_some());
    }
}
