//! The links of a lab with a relay: what passes them, and what is done to it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::lab::Lab;
use crate::names;
use crate::rpc;
use crate::service::relay;

/// Messages told at once.
const PART: usize = 100;

/// The relay of a lab, asked over HTTP.
#[derive(Debug, Clone)]
pub struct Relay {
    http: reqwest::Client,
    address: SocketAddrV4,
}

/// A link as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    /// `CLIENT:SERVER`.
    pub name: String,
    /// `sv2`, or `tcp` for anything else.
    pub protocol: String,
    /// Connections that are open.
    pub connections: u64,
    /// Messages there were.
    pub messages_total: u64,
    /// Bytes from the client to the server.
    pub bytes_up_total: u64,
    /// Bytes from the server to the client.
    pub bytes_down_total: u64,
    /// What disturbs it.
    pub faults: Vec<Value>,
    /// Which messages are dropped or changed.
    pub rules: Vec<Value>,
}

impl Link {
    /// Whether it joins this service to another one.
    pub fn is_of(&self, service: &str) -> bool {
        self.name.split(':').any(|end| end == service)
    }
}

/// A message that passed, or did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Counts the link's messages.
    pub number: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// The link.
    pub link: String,
    /// Counts the link's connections.
    pub connection: u64,
    /// `up` is from the client to the server, `down` the other way.
    pub direction: String,
    /// As the specification calls it.
    pub message: String,
    /// 0 for the protocols of the specification itself.
    pub extension: u16,
    /// Meaningful together with the extension.
    pub msg_type: u8,
    /// Of the payload.
    pub bytes: usize,
    /// `passed`, `dropped` or `rewritten`.
    pub fate: String,
    /// In the order of the wire.
    pub fields: Fields,
}

/// The fields of a message, by name, in the order they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(pub Vec<(String, Value)>);

impl Fields {
    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fields by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What becomes of messages of one type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The message's name, as in the specification.
    pub message: String,
    /// `up` or `down`; both unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// What these fields become; the message is dropped when there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, Value>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// Whether the relay knows messages of this name.
///
/// # Errors
/// It does not; says which it knows.
pub fn check_message(name: &str) -> Result<(), Fault> {
    // What it shows of messages it cannot tell.
    let unknown = ["unknown"];
    let mut known = ::relay::fields::names().chain(unknown);
    if known.any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(Fault::usage(
        format!("there is no message '{name}'"),
        names::remedy(name, ::relay::fields::names()),
    ))
}

/// Whether there are such messages, with such fields.
///
/// # Errors
/// There are not; says what there is.
pub fn check_rule(rule: &Rule) -> Result<(), Fault> {
    check_message(&rule.message)?;
    let same: Result<::relay::rule::Rule, _> = serde_json::from_value(json!(rule));
    let same = same.map_err(|error| error.to_string());
    same.and_then(|rule| rule.check()).map_err(|cause| {
        let remedy = "lab inspect shows messages with their fields, as they pass";
        Fault::usage(cause, remedy)
    })
}

impl Lab {
    /// The relay on its links.
    ///
    /// # Errors
    /// It has none.
    pub fn relay(&self) -> Result<Relay> {
        let Ok(spec) = self.service(relay::NAME) else {
            return Err(Fault::usage(
                format!("lab '{}' has no relay on its links", self.name()),
                "bring one up with: lab up --relays, or with relays = true in its topology",
            )
            .into());
        };
        Ok(Relay {
            http: rpc::http_client(),
            address: spec.socket("http").context("a relay has an http port")?,
        })
    }
}

impl Relay {
    /// All links.
    ///
    /// # Errors
    /// The relay does not answer.
    pub async fn links(&self) -> Result<Vec<Link>> {
        self.ask(self.http.get(self.url("links"))).await
    }

    /// The links of this name, or of the service of this name.
    ///
    /// # Errors
    /// There are none; says which there are.
    pub async fn find(&self, target: &str) -> Result<Vec<Link>> {
        let links = self.links().await?;
        let is_it = |link: &&Link| link.name == target || link.is_of(target);
        let found: Vec<Link> = links.iter().filter(is_it).cloned().collect();
        if found.is_empty() {
            let names = links.iter().map(|link| link.name.as_str());
            let ends = links.iter().flat_map(|link| link.name.split(':'));
            let remedy = match names::nearest(target, ends) {
                Some(service) if !target.contains(':') => {
                    format!("did you mean the links of {service}?")
                }
                _ => names::link_remedy(target, names),
            };
            return Err(Fault::usage(
                format!("'{target}' is no link, nor a service that has links"),
                remedy,
            )
            .into());
        }
        Ok(found)
    }

    /// Disturbs a link: `fault` is `{"fault": "partition"}`, `{"fault": "delay", "delay_ms": …}` or
    /// `{"fault": "loss", "probability": …}`.
    ///
    /// # Errors
    /// The relay refuses; says why.
    pub async fn disturb(
        &self,
        link: &str,
        mut fault: Value,
        lasts: Option<Duration>,
    ) -> Result<Link> {
        limit(&mut fault, lasts);
        let url = self.url(&format!("links/{link}/faults"));
        self.ask(self.http.post(url).json(&fault)).await
    }

    /// Drops or changes messages of one type.
    ///
    /// # Errors
    /// The relay refuses; says why.
    pub async fn rule(&self, link: &str, rule: &Rule, lasts: Option<Duration>) -> Result<Link> {
        let mut rule = json!(rule);
        limit(&mut rule, lasts);
        let url = self.url(&format!("links/{link}/rules"));
        self.ask(self.http.post(url).json(&rule)).await
    }

    /// Lets everything pass a link as it comes.
    ///
    /// # Errors
    /// The relay does not answer.
    pub async fn heal(&self, link: &str) -> Result<Link> {
        let url = self.url(&format!("links/{link}/heal"));
        self.ask(self.http.post(url)).await
    }

    /// The newest messages of a link, oldest first.
    ///
    /// # Errors
    /// The relay does not answer.
    pub async fn messages(&self, link: &str, count: usize) -> Result<Vec<Message>> {
        #[derive(Deserialize)]
        struct Part {
            total: usize,
            items: Vec<Message>,
        }
        let mut messages: Vec<Message> = Vec::new();
        while messages.len() < count {
            let (offset, limit) = (messages.len(), PART.min(count - messages.len()));
            let url = format!("links/{link}/messages?offset={offset}&limit={limit}");
            let part: Part = self.ask(self.http.get(self.url(&url))).await?;
            let (came, total) = (part.items.len(), part.total);
            messages.extend(part.items);
            if came == 0 || messages.len() >= total {
                break;
            }
        }
        messages.reverse();
        // What came between two parts was told twice.
        messages.dedup_by_key(|message| message.number);
        Ok(messages)
    }

    /// What passes from now on.
    ///
    /// # Errors
    /// The relay does not answer.
    pub async fn follow(&self) -> Result<Following> {
        // No time-out: this goes on until somebody has seen enough.
        let http = reqwest::Client::builder().no_proxy().build()?;
        let response = http.get(self.url("events")).send().await;
        let response = response.map_err(|_| self.silent())?;
        Ok(Following {
            response: response.error_for_status()?,
            received: Vec::new(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.address)
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        let response = request.send().await.map_err(|_| self.silent())?;
        if response.status().is_success() {
            return Ok(response.json().await?);
        }
        let text = response.text().await.unwrap_or_default();
        let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let cause = said["error"].as_str().unwrap_or(&text).to_owned();
        Err(Fault::usage(
            cause,
            "lab chaos list tells the links, lab chaos --help what can be done",
        )
        .into())
    }

    fn silent(&self) -> Fault {
        Fault::unavailable(
            format!("the relay does not answer on {}", self.address),
            "see how it is doing: lab status, lab logs relay; start it: lab start relay",
        )
    }
}

fn limit(order: &mut Value, lasts: Option<Duration>) {
    if let Some(lasts) = lasts {
        order["for_ms"] = json!(lasts.as_millis() as u64);
    }
}

/// Messages as they come.
#[derive(Debug)]
pub struct Following {
    response: reqwest::Response,
    received: Vec<u8>,
}

impl Following {
    /// The next one; `None` when the relay has ended.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                // Anything else are names and comments.
                let Some(data) = line.strip_prefix(b"data:") else {
                    continue;
                };
                // Whoever reads slowly is told how much was missed, which is no message.
                if let Ok(message) = serde_json::from_slice(data) {
                    return Ok(Some(message));
                }
            }
            match self.response.chunk().await? {
                Some(chunk) => self.received.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}
