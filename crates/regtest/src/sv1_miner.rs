//! A Stratum V1 miner that a test plays.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use protocol::coinbase::sha256d;
use protocol::target::Target;
use sv1::{
    Call, Configure, FromServer, Id, Json, Notice, Notify, Rejection, Submit, Subscribed,
    VersionRolling, difficulty,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::LIMIT;

/// One connection.
pub struct Sv1Miner {
    stream: BufReader<TcpStream>,
    next_id: u64,
    user: String,
    /// Its part of the extranonce, and how many bytes it chooses.
    pub subscribed: Option<Subscribed<'static>>,
    /// Bits of the version that it may change.
    pub mask: u32,
    /// As it was told last.
    pub difficulty: f64,
    /// The newest job.
    pub job: Option<Arc<Notify>>,
    /// Notices that nobody has looked at, by their names.
    pub notices: VecDeque<String>,
    nonce: u32,
}

/// A share that was found.
#[derive(Debug, Clone)]
pub struct Sv1Share {
    /// What is submitted.
    pub submit: Submit<'static>,
    /// The block hash, in header order.
    pub hash: [u8; 32],
}

impl Sv1Miner {
    /// Connects as soon as somebody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let deadline = Instant::now() + LIMIT;
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            sleep(std::time::Duration::from_millis(10)).await;
        };
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            next_id: 1,
            user: String::new(),
            subscribed: None,
            mask: 0,
            difficulty: 1.0,
            job: None,
            notices: VecDeque::new(),
            nonce: 0,
        }
    }

    /// Connects, and says all that has to be said before there is a job.
    pub async fn join(address: SocketAddr, user: &str) -> Self {
        let mut miner = Self::connect(address).await;
        miner.configure().await;
        miner.subscribe("test/1", None).await;
        miner.authorize(user, "x").await.unwrap();
        miner
    }

    /// Asks for all bits of the version.
    pub async fn configure(&mut self) {
        let configure = Configure {
            version_rolling: Some(VersionRolling {
                mask: u32::MAX,
                min_bit_count: 0,
            }),
            ..Configure::default()
        };
        let mut result = self.call(&Call::Configure(configure)).await.unwrap();
        self.mask = result.take("version-rolling.mask").hex_u32().unwrap_or(0);
    }

    /// Subscribes, perhaps to a session it had before.
    pub async fn subscribe(&mut self, agent: &str, session: Option<&str>) {
        let call = Call::Subscribe {
            agent: agent.to_owned().into(),
            session: session.map(|session| session.to_owned().into()),
        };
        let result = self.call(&call).await.unwrap();
        self.subscribed = Some(Subscribed::read(result).unwrap());
    }

    /// Subscribes; false when the server has closed the connection.
    pub async fn subscribe_if_open(&mut self) -> bool {
        let call = Call::Subscribe {
            agent: "test/1".into(),
            session: None,
        };
        let mut line = Vec::new();
        call.write(&Id::Number(0), &mut line);
        // What was closed already cannot be written to.
        let _ = self.stream.get_mut().write_all(&line).await;
        loop {
            match self.hear().await {
                None => return false,
                Some(Some((0, Ok(result)))) => {
                    self.subscribed = Some(Subscribed::read(result).unwrap());
                    return true;
                }
                Some(_) => {}
            }
        }
    }

    /// Authorizes a worker.
    ///
    /// # Errors
    /// It is not let in.
    pub async fn authorize(&mut self, user: &str, password: &str) -> Result<(), Rejection> {
        user.clone_into(&mut self.user);
        let call = Call::Authorize {
            user: user.to_owned().into(),
            password: password.to_owned().into(),
        };
        self.call(&call).await.map(drop)
    }

    /// The extranonce1 it has, in hexadecimal.
    pub fn extranonce1(&self) -> String {
        self.subscribed.as_ref().unwrap().extranonce1.to_string()
    }

    /// Asks, and waits for the answer; what is said before it is noted.
    ///
    /// # Errors
    /// The answer is no.
    pub async fn call(&mut self, call: &Call<'_>) -> Result<Json<'static>, Rejection> {
        let id = self.send(call).await;
        loop {
            if let Some((of, answer)) = self.hear().await.expect("the server has left")
                && of == id
            {
                return answer;
            }
        }
    }

    /// Asks, without waiting.
    pub async fn send(&mut self, call: &Call<'_>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut line = Vec::new();
        call.write(&Id::Number(id), &mut line);
        self.say(&line).await;
        id
    }

    /// Sends bytes as they are.
    pub async fn say(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// One line: the answer to a call, or `None` after something was noted. `None` outside when the
    /// server has closed the connection.
    pub async fn hear(&mut self) -> Option<Option<(u64, Result<Json<'static>, Rejection>)>> {
        let mut line = Vec::new();
        let read = timeout(LIMIT, self.stream.read_until(b'\n', &mut line));
        let count = read.await.expect("the server says something");
        if count.unwrap_or(0) == 0 {
            return None;
        }
        Some(match sv1::from_server(line.trim_ascii()).unwrap() {
            FromServer::Reply(id, reply) => Some((id.number()?, reply.map(owned))),
            FromServer::Notice(_, notice) => {
                self.notices.push_back(notice.method().to_owned());
                match notice {
                    Notice::Notify(notify) => self.job = Some(Arc::new(notify)),
                    Notice::SetDifficulty(difficulty) => self.difficulty = difficulty,
                    Notice::SetVersionMask(mask) => self.mask = mask,
                    _ => {}
                }
                None
            }
        })
    }

    /// Waits for a job that is another one than before.
    pub async fn next_job(&mut self) -> Arc<Notify> {
        let before = self.job.clone();
        loop {
            if let Some(job) = &self.job
                && before
                    .as_ref()
                    .is_none_or(|before| !Arc::ptr_eq(before, job))
            {
                return Arc::clone(job);
            }
            assert!(
                self.hear().await.is_some(),
                "the server has closed the connection"
            );
        }
    }

    /// Waits for a job if there has been none.
    pub async fn some_job(&mut self) -> Arc<Notify> {
        while self.job.is_none() {
            assert!(
                self.hear().await.is_some(),
                "the server has closed the connection"
            );
        }
        self.job.clone().unwrap()
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        while self.hear().await.is_some() {}
    }

    /// The next share of its job, with `ahead` seconds on the clock and these bits of the version.
    pub fn find(&mut self, ahead: u32, bits: Option<u32>) -> Sv1Share {
        let target = difficulty::target(self.difficulty).unwrap_or(Target::MAX);
        self.find_for(target, ahead, bits)
    }

    /// The next hash of its job that meets `target`.
    pub fn find_for(&mut self, target: Target, ahead: u32, bits: Option<u32>) -> Sv1Share {
        let job = self.job.clone().unwrap();
        let subscribed = self.subscribed.as_ref().unwrap();
        let extranonce2 = vec![0x5a; subscribed.extranonce2_size];
        let version = sv1::version::rolled(job.version, self.mask, bits.unwrap_or(job.version));
        let ntime = job.ntime + ahead;
        loop {
            self.nonce += 1;
            let parts = [&*subscribed.extranonce1, &extranonce2[..]];
            let header = job.header(&parts, version, ntime, self.nonce);
            let hash = sha256d(&header);
            if Target::from_le_bytes(hash) <= target {
                return Sv1Share {
                    submit: Submit {
                        user: self.user.clone().into(),
                        job_id: job.job_id.clone().into(),
                        extranonce2: sv1::Extranonce::new(&extranonce2).unwrap(),
                        ntime,
                        nonce: self.nonce,
                        version_bits: bits,
                    },
                    hash,
                };
            }
        }
    }

    /// Submits a share.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn submit(&mut self, share: &Sv1Share) -> Result<(), Rejection> {
        self.call(&Call::Submit(share.submit.clone()))
            .await
            .map(drop)
    }
}

/// The same, borrowing from nothing.
fn owned(json: Json<'_>) -> Json<'static> {
    match json {
        Json::Null => Json::Null,
        Json::Bool(value) => Json::Bool(value),
        Json::Whole(number) => Json::Whole(number),
        Json::Number(number) => Json::Number(number),
        Json::Text(text) => Json::Text(text.into_owned().into()),
        Json::Array(values) => Json::Array(values.into_iter().map(owned).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(name, value)| (name.into_owned().into(), owned(value)));
            Json::Object(fields.collect())
        }
    }
}
