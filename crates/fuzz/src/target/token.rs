//! Job tokens, which come back from whoever was given them.

use protocol::token::{Commitment, Scope, Secret, Token};

const SCOPES: [Scope; 3] = [Scope::Allocated, Scope::CoinbaseOnly, Scope::Declared];

fn issued(scope: Scope) -> (Token, Vec<u8>, Secret, Commitment) {
    let token = Token {
        scope,
        expires: 2000,
        id: [7; 16],
    };
    let secret = Secret::new(&[3; 32]);
    let commitment = Commitment::payout([]);
    let bytes = token.issue(&secret, &commitment);
    (token, bytes, secret, commitment)
}

/// A token, as somebody shows it.
pub(crate) fn run(bytes: &[u8]) {
    let claimed = Token::claimed_scope(bytes);
    for scope in SCOPES {
        let (token, genuine, secret, commitment) = issued(scope);
        let verified = Token::verify(&secret, bytes, &commitment, 1000);
        assert_eq!(verified == Ok(token), bytes == genuine, "{verified:?}");
        if let Ok(token) = verified {
            assert_eq!(claimed, Ok(token.scope));
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    SCOPES.map(|scope| issued(scope).1).to_vec()
}
