//! TLV fields behind a message, and the negotiation of extensions.

use protocol::extension::{Extensions, MAX_WORKER_LEN, NEGOTIATION, WORKER_TRACKING, worker};
use protocol::frame::Frame;
use protocol::message::{self, ExtensionsNegotiation};

use crate::script::{Line, Script, frame, line};

/// TLV fields, which are a script of frames as well.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(Some(name)) = worker(bytes) {
        assert!((1..=MAX_WORKER_LEN).contains(&name.len()), "{name:02x?}");
    }
    for line in Script(bytes) {
        let Line::Frame(header, mut payload) = line else {
            continue;
        };
        let payload = &mut payload[..];
        let message = message::negotiation(Frame { header, payload });
        let Ok(Some(ExtensionsNegotiation::RequestExtensions(request))) = message else {
            continue;
        };
        let requested: Vec<u16> = request.requested_extensions.iter().copied().collect();
        for required in [vec![], vec![WORKER_TRACKING]] {
            let extensions = Extensions {
                supported: vec![WORKER_TRACKING, 7],
                required,
            };
            let (granted, answer) = extensions.answer(&request);
            for extension in 0..=8 {
                let wanted = requested.contains(&extension);
                let known = extensions.supported.contains(&extension);
                assert!(!granted.has(extension) || wanted && known, "{extension}");
            }
            frame(message::Message::Extensions(answer));
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let unknown = [0xbc, 0x4a, 1, 3, 0, 7, 7, 7];
    let worker = [&[2, 0, 1, 4, 0][..], b"rig1"].concat();
    let request = |list: &[u16]| {
        let mut payload = vec![9, 0];
        payload.extend((list.len() as u16).to_le_bytes());
        payload.extend(list.iter().flat_map(|extension| extension.to_le_bytes()));
        line(NEGOTIATION, 0, &payload)
    };
    vec![
        worker.clone(),
        [&unknown[..], &worker].concat(),
        [2, 0, 1, 33, 0].to_vec(),
        request(&[]),
        request(&[2, 3, 2]),
        request(&[3]),
    ]
}
