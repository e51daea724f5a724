//! `lab explorer`

use std::ffi::OsString;
use std::process::Stdio;

use anyhow::Result;
use orchestrator::lab::Lab;
use serde_json::json;
use tokio::process::Command;

use crate::cli::ExplorerArgs;
use crate::console::Console;

/// What opens a page, and the variables of which one says that there is something to open it on.
const OPENER: (&str, &[&str]) = match cfg!(target_os = "macos") {
    true => ("open", &["HOME"]),
    false => ("xdg-open", &["DISPLAY", "WAYLAND_DISPLAY"]),
};

pub(crate) async fn run(args: &ExplorerArgs, lab: &Lab, console: &Console) -> Result<()> {
    let page = lab.explorer().await?;
    let url = match &args.query {
        Some(query) => reqwest::Url::parse_with_params(&format!("{page}/search"), [("q", query)])?,
        None => reqwest::Url::parse(&page)?,
    };
    let opened = match args.no_open || !has_display(|name| std::env::var_os(name)) {
        true => false,
        false => open(url.as_str()).await,
    };
    match console.json {
        true => console.print_json(&json!({ "url": url.as_str(), "opened": opened })),
        false => console.print(url.as_str()),
    }
}

fn has_display(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    OPENER.1.iter().any(is_set)
}

/// Whether a browser took it. Whoever has none has the address.
async fn open(url: &str) -> bool {
    let mut command = Command::new(OPENER.0);
    let command = command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_opened_only_where_there_is_a_screen() {
        let on = |set: &str, value: &str| {
            let (set, value) = (set.to_owned(), OsString::from(value));
            has_display(move |name| (name == set).then(|| value.clone()))
        };
        for name in OPENER.1 {
            assert!(on(name, ":0") && !on(name, ""));
        }
        assert!(!on("SHELL", "sh"));
    }
}
