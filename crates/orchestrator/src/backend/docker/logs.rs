//! What a container wrote. Following goes on when it ended and came back, or another one took its
//! place; it ends when the lab's network is gone, which goes last.

use std::time::Duration;

use anyhow::Result;
use bollard::Docker as Api;
use bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, LogsOptionsBuilder,
};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::container::Names;
use super::is_missing;
use crate::backend::{Lines, LogRange};

/// Pause between two looks for a container that came back.
const POLL: Duration = Duration::from_millis(250);

/// One container's log, whichever container has its name.
struct Log {
    api: Api,
    container: String,
    network: String,
    follow: bool,
    /// Lines with the daemon's time of each; nothing while no container runs.
    current: Option<BoxStream<'static, Result<(String, String)>>>,
    /// The time of the last line that was passed on.
    last: String,
    /// Lines up to this time were passed on already.
    seen: String,
}

pub(super) fn read(api: &Api, names: &Names, service: &str, range: LogRange) -> Lines {
    let mut log = Log {
        api: api.clone(),
        container: names.container(service),
        network: names.network(),
        follow: range.follow,
        current: None,
        last: String::new(),
        seen: String::new(),
    };
    match range.tail {
        usize::MAX => log.attach("all"),
        lines => log.attach(&lines.to_string()),
    }
    stream::unfold(log, |mut log| async move {
        let line = log.next().await?;
        Some((line, log))
    })
    .boxed()
}

impl Log {
    fn attach(&mut self, tail: &str) {
        let options = LogsOptionsBuilder::default()
            .follow(self.follow)
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .tail(tail)
            .build();
        let api = self.api.clone();
        let frames = api.logs(&self.container, Some(options));
        let lines = frames.filter_map(async |frame| match frame {
            Ok(frame) => {
                let text = frame.to_string();
                let (at, line) = text.split_once(' ').unwrap_or((&text, ""));
                Some(Ok((at.to_owned(), line.trim_end_matches('\n').to_owned())))
            }
            // Nothing was written by a container that is not there.
            Err(error) if is_missing(&error) => None,
            Err(error) => Some(Err(error.into())),
        });
        self.seen.clone_from(&self.last);
        self.current = Some(lines.boxed());
    }

    async fn next(&mut self) -> Option<Result<String>> {
        loop {
            match self.current.as_mut()?.next().await {
                Some(Ok((at, line))) if at > self.seen => {
                    self.last = at;
                    return Some(Ok(line));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(Err(error)),
                None if self.follow => match self.returns().await {
                    Ok(true) => self.attach("all"),
                    Ok(false) => return None,
                    Err(error) => {
                        self.current = None;
                        return Some(Err(error));
                    }
                },
                None => return None,
            }
        }
    }

    /// Waits until the container runs again; whether it does, or the lab is gone.
    async fn returns(&mut self) -> Result<bool> {
        loop {
            let options = None::<InspectContainerOptions>;
            match self.api.inspect_container(&self.container, options).await {
                Ok(found) => {
                    if found.state.is_some_and(|state| state.running == Some(true)) {
                        return Ok(true);
                    }
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
            let options = None::<InspectNetworkOptions>;
            match self.api.inspect_network(&self.network, options).await {
                Ok(_) => {}
                Err(error) if is_missing(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
