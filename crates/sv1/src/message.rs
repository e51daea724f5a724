//! What a line is: a call, a notice, or the answer to one.

use std::borrow::Cow;

use crate::answer::Rejection;
use crate::call::Call;
use crate::json::{Id, Json};
use crate::notice::Notice;

/// A line from a miner.
#[derive(Debug, Clone, PartialEq)]
pub enum FromMiner<'a> {
    /// It asks for something.
    Call(Id, Call<'a>),
    /// It answers `client.get_version` or `mining.ping`.
    Reply(Id, Reply<'a>),
}

/// A line from a server.
#[derive(Debug, Clone, PartialEq)]
pub enum FromServer<'a> {
    /// It says something; the id is there when it wants an answer.
    Notice(Id, Notice<'a>),
    /// It answers a call.
    Reply(Id, Reply<'a>),
}

/// A result, or why there is none.
pub type Reply<'a> = Result<Json<'a>, Rejection>;

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is JSON, but nothing of this protocol.
    #[error("neither a call nor an answer")]
    Neither(Id),
    /// Something in a known call is missing or wrong.
    #[error("{method}: {what}")]
    Params {
        /// Of the call.
        id: Id,
        /// Its name.
        method: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Unreadable {
    /// Which call to answer.
    pub fn id(&self) -> &Id {
        match self {
            Self::Json(_) => &Id::Null,
            Self::Neither(id) | Self::Params { id, .. } => id,
        }
    }
}

/// Reads a line of a miner.
///
/// # Errors
/// It cannot be understood, even with patience.
pub fn from_miner(line: &[u8]) -> Result<FromMiner<'_>, Unreadable> {
    Ok(match read(line)? {
        (id, Line::Method(method, params)) => {
            let call = understood(&id, method, params, Call::read)?;
            FromMiner::Call(id, call)
        }
        (id, Line::Reply(reply)) => FromMiner::Reply(id, reply),
    })
}

/// Reads a line of a server.
///
/// # Errors
/// It cannot be understood, even with patience.
pub fn from_server(line: &[u8]) -> Result<FromServer<'_>, Unreadable> {
    Ok(match read(line)? {
        (id, Line::Method(method, params)) => {
            let notice = understood(&id, method, params, Notice::read)?;
            FromServer::Notice(id, notice)
        }
        (id, Line::Reply(reply)) => FromServer::Reply(id, reply),
    })
}

enum Line<'a> {
    Method(Cow<'a, str>, Json<'a>),
    Reply(Reply<'a>),
}

fn read(line: &[u8]) -> Result<(Id, Line<'_>), Unreadable> {
    let mut json = Json::parse(line).map_err(|error| Unreadable::Json(error.to_string()))?;
    let id = Id::new(&json.take("id"));
    if let Json::Text(method) = json.take("method") {
        return Ok((id, Line::Method(method, json.take("params"))));
    }
    let is_reply = match &json {
        Json::Object(fields) => fields
            .iter()
            .any(|(name, _)| name == "result" || name == "error"),
        _ => false,
    };
    if !is_reply {
        return Err(Unreadable::Neither(id));
    }
    let error = json.take("error");
    // Some servers say `"error": false` when there is none.
    let reply = if error.is_null() || error == Json::Bool(false) {
        Ok(json.take("result"))
    } else {
        Err(Rejection::read(error))
    };
    Ok((id, Line::Reply(reply)))
}

fn understood<'a, T>(
    id: &Id,
    method: Cow<'a, str>,
    params: Json<'a>,
    read: impl FnOnce(Cow<'a, str>, Json<'a>) -> Result<T, &'static str>,
) -> Result<T, Unreadable> {
    // What is wrong is rare; its name is copied only then.
    let name = method.clone();
    read(method, params).map_err(|what| Unreadable::Params {
        id: id.clone(),
        method: name.into_owned(),
        what,
    })
}
