//! What a line does to everything that passes it.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// TCP waits at least this long before it sends a lost segment again, and twice as long each time.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Losses in a row; TCP gives up later than anybody wants to wait here.
const MAX_LOSSES: u32 = 6;

/// One disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing passes, and nobody is told; connections stay, as with a cable that was pulled.
    Partition,
    /// Everything comes later; the order stays.
    Delay {
        /// Milliseconds each way.
        delay_ms: u64,
        /// Up to so many more, by chance.
        #[serde(default)]
        jitter_ms: u64,
    },
    /// What is lost is sent again, as TCP does: it comes late, and what is behind it waits.
    Loss {
        /// The part that is lost, from 0 to 1.
        probability: f64,
    },
}

impl Fault {
    /// What is wrong with it.
    ///
    /// # Errors
    /// Names the value.
    pub fn check(&self) -> Result<(), String> {
        match *self {
            Self::Partition => Ok(()),
            Self::Delay {
                delay_ms,
                jitter_ms,
            } if delay_ms.saturating_add(jitter_ms) > 60_000 => Err(format!(
                "a delay of {delay_ms} ms and {jitter_ms} ms more: at most 60000 ms in all"
            )),
            Self::Delay { .. } => Ok(()),
            Self::Loss { probability } if (0.0..=1.0).contains(&probability) => Ok(()),
            Self::Loss { probability } => {
                Err(format!("a loss of {probability}: must be from 0 to 1"))
            }
        }
    }

    /// A new fault takes the place of one of the same kind.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// How much later something comes that is sent now.
    pub fn holds_back(&self, chance: &mut impl Rng) -> Duration {
        match *self {
            Self::Partition => Duration::ZERO,
            Self::Delay {
                delay_ms,
                jitter_ms,
            } => Duration::from_millis(delay_ms + chance.gen_range(0..=jitter_ms)),
            Self::Loss { probability } => (0..MAX_LOSSES)
                .take_while(|_| chance.gen_bool(probability))
                .map(|times| RETRANSMISSION * 2u32.pow(times))
                .sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_delay_is_within_its_jitter() {
        let fault = Fault::Delay {
            delay_ms: 100,
            jitter_ms: 50,
        };
        let mut rng = StdRng::seed_from_u64(1);
        let seen: Vec<_> = (0..200).map(|_| fault.holds_back(&mut rng)).collect();
        let within = Duration::from_millis(100)..=Duration::from_millis(150);
        assert!(seen.iter().all(|delay| within.contains(delay)));
        assert!(seen.iter().any(|delay| *delay != seen[0]));
    }

    #[test]
    fn a_loss_costs_retransmissions_that_double() {
        let mut rng = StdRng::seed_from_u64(1);
        let none = Fault::Loss { probability: 0.0 };
        assert_eq!(none.holds_back(&mut rng), Duration::ZERO);
        let all = Fault::Loss { probability: 1.0 };
        // 200 * (1 + 2 + 4 + 8 + 16 + 32)
        assert_eq!(all.holds_back(&mut rng), Duration::from_millis(12_600));
    }

    #[test]
    fn impossible_faults_are_named() {
        for (fault, says) in [
            (Fault::Loss { probability: 1.5 }, "1.5"),
            (
                Fault::Loss {
                    probability: f64::NAN,
                },
                "NaN",
            ),
            (
                Fault::Delay {
                    delay_ms: u64::MAX,
                    jitter_ms: 1,
                },
                "60000",
            ),
        ] {
            assert!(fault.check().unwrap_err().contains(says));
        }
    }
}
