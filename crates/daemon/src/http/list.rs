//! Lists that are told in parts, and what is told instead of an answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Items of a part unless asked otherwise.
const LIMIT: usize = 25;
/// Items of a part at most.
const MAX_LIMIT: usize = 100;

/// Which part of a list is wanted, by the names SRI's programs use.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Window {
    /// Items to leave out first.
    #[serde(default)]
    pub offset: usize,
    /// Items to tell: 25 unless given, 100 at most.
    limit: Option<usize>,
}

impl Window {
    /// Items to tell.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT).min(MAX_LIMIT)
    }

    /// The part of `items` that is wanted. The others are skipped, and nothing is made of them.
    pub fn of<T>(&self, items: impl ExactSizeIterator<Item = T>) -> Part<T> {
        Part {
            offset: self.offset,
            limit: self.limit(),
            total: items.len(),
            items: items.skip(self.offset).take(self.limit()).collect(),
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Part<T> {
    /// Items left out before.
    pub offset: usize,
    /// Items told at most.
    pub limit: usize,
    /// Items of the whole list.
    pub total: usize,
    /// The items.
    pub items: Vec<T>,
}

impl<T> Part<T> {
    /// The same part, with every item made into something else.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Part<U> {
        Part {
            offset: self.offset,
            limit: self.limit,
            total: self.total,
            items: self.items.into_iter().map(make).collect(),
        }
    }
}

/// What is told instead of an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// What is wrong, and what would be right.
    error: String,
}

impl Problem {
    /// There is no such thing.
    pub fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// The request makes no sense.
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// It may not be done.
    pub fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// Not now.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let error = error.into();
        Self { status, error }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests;
