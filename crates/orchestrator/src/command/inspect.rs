//! `lab inspect`

use std::collections::BTreeMap;

use anyhow::Result;
use orchestrator::fault::Fault;
use orchestrator::lab::Lab;
use orchestrator::links::{self, Message, Relay, Rule};
use serde_json::Value;

use crate::cli::InspectArgs;
use crate::console::Console;

/// A value longer than this is cut where people read.
const MAX_SHOWN: usize = 24;

pub(crate) async fn run(args: &InspectArgs, lab: &Lab, console: &Console) -> Result<()> {
    let rules = check(args)?;
    let relay = lab.relay()?;
    let links: Vec<String> = match &args.link {
        Some(link) => relay.find(link).await?,
        None => relay.links().await?,
    }
    .into_iter()
    .filter(|link| link.protocol == "sv2")
    .map(|link| link.name)
    .collect();
    if links.is_empty() {
        return Err(Fault::usage(
            format!(
                "{} carries no Stratum V2",
                args.link.as_deref().unwrap_or("no link")
            ),
            "lab chaos list tells what each link carries",
        )
        .into());
    }
    if args.heal {
        for link in &links {
            relay.heal(link).await?;
        }
    }
    for rule in &rules {
        for link in &links {
            relay.rule(link, rule, args.lasts).await?;
        }
    }
    let only_orders = args.heal || !rules.is_empty();
    if only_orders && !args.follow {
        return match console.json {
            true => console.print_json(&relay.links().await?),
            false => console.print(&format!("done on {}", links.join(", "))),
        };
    }
    show(args, &relay, &links, console).await
}

async fn show(
    args: &InspectArgs,
    relay: &Relay,
    links: &[String],
    console: &Console,
) -> Result<()> {
    // Listened to before the past is read, so that nothing falls between the two.
    let following = match args.follow {
        true => Some(relay.follow().await?),
        false => None,
    };
    let mut past = Vec::new();
    for link in links {
        past.extend(relay.messages(link, usize::MAX).await?);
    }
    past.retain(|message| is_wanted(args, message));
    past.sort_by_key(|message| message.time_ms);
    let skip = past.len().saturating_sub(args.lines);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for message in past.into_iter().skip(skip) {
        seen.insert(message.link.clone(), message.number);
        print(&message, console)?;
    }
    let Some(mut following) = following else {
        return Ok(());
    };
    while let Some(message) = following.next().await? {
        let is_new = seen
            .get(&message.link)
            .is_none_or(|last| message.number > *last);
        if is_new && links.contains(&message.link) && is_wanted(args, &message) {
            print(&message, console)?;
        }
    }
    Err(Fault::unavailable("the relay has ended", "start it again: lab start relay").into())
}

fn is_wanted(args: &InspectArgs, message: &Message) -> bool {
    let of_type = |name: &String| name.eq_ignore_ascii_case(&message.message);
    (args.types.is_empty() || args.types.iter().any(of_type))
        && args
            .direction
            .is_none_or(|direction| direction.name() == message.direction)
}

/// The rules that are asked for, after a look at every name: nothing happens when one is wrong.
fn check(args: &InspectArgs) -> Result<Vec<Rule>, Fault> {
    let rules = rules(args)?;
    for message in &args.types {
        links::check_message(message)?;
    }
    for rule in &rules {
        links::check_rule(rule)?;
    }
    Ok(rules)
}

fn rules(args: &InspectArgs) -> Result<Vec<Rule>, Fault> {
    let direction = args.direction.map(|direction| direction.name().to_owned());
    let rule = |message: &str, set| Rule {
        message: message.to_owned(),
        direction: direction.clone(),
        set,
        times: args.times,
    };
    let mut rules: Vec<Rule> = Vec::new();
    for message in &args.drop {
        rules.push(rule(message, BTreeMap::new()));
    }
    for text in &args.rewrite {
        let (message, field, value) = rewrite(text)?;
        let same = rules
            .iter_mut()
            .find(|rule| rule.message == message && !rule.set.is_empty());
        match same {
            Some(rule) => drop(rule.set.insert(field, value)),
            None => rules.push(rule(&message, BTreeMap::from([(field, value)]))),
        }
    }
    Ok(rules)
}

/// `TYPE.FIELD=VALUE`; a type may have a dot of its own, as `SubmitShares.Success` has.
fn rewrite(text: &str) -> Result<(String, String, Value), Fault> {
    let parts = text
        .split_once('=')
        .and_then(|(name, value)| Some((name.rsplit_once('.')?, value)));
    let Some(((message, field), value)) = parts else {
        return Err(Fault::usage(
            format!("'{text}' does not say which field becomes what"),
            "write TYPE.FIELD=VALUE, for example SubmitSharesStandard.nonce=0",
        ));
    };
    // What is no JSON is a text.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((message.to_owned(), field.to_owned(), value))
}

fn print(message: &Message, console: &Console) -> Result<()> {
    match console.json {
        true => console.print_json(message),
        false => console.print(&line(message)),
    }
}

fn line(message: &Message) -> String {
    let fields: Vec<_> = message
        .fields
        .0
        .iter()
        .map(|(name, value)| format!("{name}={}", short(value)))
        .collect();
    let arrow = match message.direction.as_str() {
        "up" => "-->",
        _ => "<--",
    };
    let fate = match message.fate.as_str() {
        "passed" => String::new(),
        fate => format!("  [{fate}]"),
    };
    let name = match message.message.as_str() {
        "unknown" => format!(
            "unknown {:#06x}/{:#04x}",
            message.extension, message.msg_type
        ),
        name => name.to_owned(),
    };
    format!(
        "{} {:28} #{} {arrow} {name}{fate} {}",
        time(message.time_ms),
        message.link,
        message.connection,
        fields.join(" ")
    )
}

fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > MAX_SHOWN => {
            let head: String = text.chars().take(MAX_SHOWN).collect();
            format!("{head}…")
        }
        Value::String(text) => text.clone(),
        Value::Array(items) if items.len() > 3 => format!("[{} items]", items.len()),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(short).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// The time of day, UTC.
fn time(ms: u64) -> String {
    let (seconds, ms) = (ms / 1000 % 86_400, ms % 1000);
    format!(
        "{:02}:{:02}:{:02}.{ms:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rewrite_names_type_field_and_value() {
        for (text, message, field, value) in [
            (
                "SubmitSharesStandard.nonce=0",
                "SubmitSharesStandard",
                "nonce",
                json!(0),
            ),
            (
                "SubmitShares.Success.new_shares_sum=7",
                "SubmitShares.Success",
                "new_shares_sum",
                json!(7),
            ),
            (
                "Reconnect.new_host=a.b",
                "Reconnect",
                "new_host",
                json!("a.b"),
            ),
            (
                "NewTemplate.future_template=true",
                "NewTemplate",
                "future_template",
                json!(true),
            ),
        ] {
            let read = rewrite(text).unwrap();
            assert_eq!(read, (message.to_owned(), field.to_owned(), value));
        }
        for text in ["SetTarget", "SetTarget=1", "SetTarget.maximum_target"] {
            assert!(rewrite(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_day() {
        assert_eq!(time(86_400_000 * 3 + 45_296_007), "12:34:56.007");
    }
}
