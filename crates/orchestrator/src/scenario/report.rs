//! How scenarios went: for people, for programs, and for what reads JUnit.

use std::fmt::Write;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// How a scenario went.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// What it tries.
    pub about: String,
    /// Whether every step went well.
    pub passed: bool,
    /// How long it took, the lab's start and end included.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// The steps that were begun.
    pub steps: Vec<StepReport>,
    /// Why it did not get to its steps, or to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// In words.
    pub title: String,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// Why it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// As JUnit: a suite per scenario, a case per step.
pub fn junit(reports: &[Report]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        suite(report, &mut xml).expect("writing to a string does not fail");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(report: &Report, xml: &mut String) -> std::fmt::Result {
    let failed = report.steps.iter().filter(|step| step.failure.is_some());
    let failures = failed.count() + usize::from(report.failure.is_some());
    let cases = report.steps.len() + usize::from(report.failure.is_some());
    let name = escaped(&report.name);
    writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{cases}\" failures=\"{failures}\" time=\"{:.3}\">",
        report.took.as_secs_f64()
    )?;
    for step in &report.steps {
        case(&name, &step.title, step.took, step.failure.as_deref(), xml)?;
    }
    if let Some(failure) = &report.failure {
        case(&name, "the lab", report.took, Some(failure), xml)?;
    }
    writeln!(xml, "  </testsuite>")
}

fn case(
    suite: &str,
    title: &str,
    took: Duration,
    failure: Option<&str>,
    xml: &mut String,
) -> std::fmt::Result {
    let (title, took) = (escaped(title), took.as_secs_f64());
    write!(
        xml,
        "    <testcase classname=\"{suite}\" name=\"{title}\" time=\"{took:.3}\""
    )?;
    match failure {
        None => writeln!(xml, "/>"),
        Some(failure) => writeln!(
            xml,
            "><failure message=\"{}\"/></testcase>",
            escaped(failure)
        ),
    }
}

/// Text within quotes; what XML has no place for is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_counts_and_escapes() {
        let step = |title: &str, failure: Option<&str>| StepReport {
            title: title.to_owned(),
            took: Duration::from_millis(1500),
            failure: failure.map(str::to_owned),
        };
        let report = Report {
            name: "a-b".to_owned(),
            about: String::new(),
            passed: false,
            took: Duration::from_secs(3),
            steps: vec![
                step("mine 1", None),
                step("x >= 1", Some("\"x\" is <0>\u{7}\n")),
            ],
            failure: None,
        };
        let xml = junit(&[report]);
        assert!(xml.contains(r#"<testsuite name="a-b" tests="2" failures="1" time="3.000">"#));
        assert!(xml.contains(r#"<testcase classname="a-b" name="mine 1" time="1.500"/>"#));
        assert!(xml.contains(r#"name="x &gt;= 1""#), "{xml}");
        assert!(
            xml.contains(r#"message="&quot;x&quot; is &lt;0&gt;&#10;""#),
            "{xml}"
        );
    }
}
