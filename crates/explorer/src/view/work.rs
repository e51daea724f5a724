//! Templates and jobs: what each role works on, and what was declared.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{App, newest};
use crate::config::Kind;
use crate::service::{Board, Hearing, Service, jdc, jds, pool, provider};
use crate::text;

/// Jobs of a template that are named: the newest.
const MAX_JOBS: usize = 6;
/// A template comes to whom it was sent within this time.
const ON_ITS_WAY_MS: u64 = 5000;

/// Templates and jobs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Work {
    pub(crate) providers: Vec<ProviderWork>,
    pub(crate) pools: Vec<PoolWork>,
    pub(crate) jdcs: Vec<JdcWork>,
}

/// What a template provider sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ProviderWork {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// The newest first.
    pub(crate) templates: Vec<Sent>,
}

/// A template that was sent, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Sent {
    #[serde(flatten)]
    pub(crate) template: provider::Template,
    /// Null unless exactly one service says that such a template came then.
    pub(crate) used: Option<Used>,
}

/// What a service makes of a template.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Used {
    pub(crate) by: String,
    /// The newest of its jobs, newest first.
    pub(crate) jobs: Vec<u64>,
    pub(crate) jobs_total: usize,
    /// Whether it works on it now.
    pub(crate) is_current: bool,
}

/// What a pool works on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PoolWork {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) hearing: Hearing,
    /// What its miners work on now.
    pub(crate) current: Option<Current>,
    /// The newest first.
    pub(crate) templates: Vec<Received>,
    pub(crate) jobs: Vec<pool::Job>,
}

/// A template that came, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Received {
    #[serde(flatten)]
    pub(crate) template: pool::Template,
    /// Satoshis, where its provider tells them.
    pub(crate) fees: Option<u64>,
    pub(crate) used: Used,
}

/// What is worked on.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Current {
    pub(crate) template_id: u64,
    pub(crate) height: Option<u64>,
    pub(crate) prev_hash: String,
    /// Satoshis that the coinbase may pay out.
    pub(crate) value: u64,
}

/// What a job declarator client works on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JdcWork {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) upstreams: Vec<jdc::Upstream>,
    /// The newest first.
    pub(crate) jobs: Vec<jdc::Job>,
}

impl Work {
    pub(crate) fn of(app: &App) -> Self {
        Self::on(&app.board)
    }

    fn on(board: &Board) -> Self {
        let mut receivers = Vec::new();
        board.each(|service| receivers.extend(Receiver::of(service)));
        let mut work = Self {
            providers: Vec::new(),
            pools: Vec::new(),
            jdcs: Vec::new(),
        };
        board.each_of(Kind::TemplateProvider, |service| {
            work.providers.push(ProviderWork::of(service, &receivers));
        });
        board.each_of(Kind::Pool, |service| {
            let own = receivers.iter().find(|own| own.name == service.name());
            let pool = own.map(|own| PoolWork::of(service, own, &work.providers));
            work.pools.extend(pool);
        });
        board.each_of(Kind::Jdc, |service| work.jdcs.push(JdcWork::of(service)));
        work
    }
}

impl ProviderWork {
    fn of(service: &Service, receivers: &[Receiver]) -> Self {
        let sent = |template: provider::Template| Sent {
            used: used(&template, service.name(), receivers),
            template,
        };
        let templates = newest(service.provider.templates.iter()).into_iter();
        Self {
            name: service.name().to_owned(),
            state: service.state.name(),
            templates: templates.map(sent).collect(),
        }
    }
}

impl PoolWork {
    fn of(service: &Service, own: &Receiver, providers: &[ProviderWork]) -> Self {
        let fees = |id: u64| {
            let mut sent = providers.iter().flat_map(|provider| &provider.templates);
            let is_it = |sent: &&Sent| {
                let by = sent.used.as_ref().map(|used| &used.by);
                sent.template.template_id == id && by == Some(&own.name)
            };
            sent.find(is_it)?.template.fees
        };
        let received = |template: pool::Template| Received {
            fees: fees(template.template_id),
            used: own.used(template.template_id),
            template,
        };
        let templates = newest(service.pool.templates.newest()).into_iter();
        Self {
            name: service.name().to_owned(),
            state: service.state.name(),
            hearing: service.hearing.clone(),
            current: service.status.more.get("work").and_then(Current::of),
            templates: templates.map(received).collect(),
            jobs: newest(service.pool.jobs.newest()),
        }
    }
}

impl Current {
    fn of(work: &Value) -> Option<Self> {
        Some(Self {
            template_id: work["template_id"].as_u64()?,
            height: work["height"].as_u64(),
            prev_hash: work["prev_hash"].as_str()?.to_owned(),
            value: work["value_remaining"].as_u64().unwrap_or(0),
        })
    }
}

impl JdcWork {
    fn of(service: &Service) -> Self {
        Self {
            name: service.name().to_owned(),
            state: service.state.name(),
            upstreams: service.jdc.upstreams.clone(),
            jobs: newest(service.jdc.jobs.iter()),
        }
    }
}

/// Whoever makes jobs of templates.
struct Receiver {
    name: String,
    kind: Kind,
    links: Vec<String>,
    /// When a template of that id came, in milliseconds since 1970, and the jobs made of it, the
    /// newest first.
    templates: HashMap<u64, (u64, Vec<u64>)>,
    current: Option<u64>,
}

impl Receiver {
    fn of(service: &Service) -> Option<Self> {
        let mut templates: HashMap<u64, (u64, Vec<u64>)> = HashMap::new();
        let current = match service.peer.kind {
            Kind::Pool => {
                for template in service.pool.templates.newest() {
                    templates.insert(template.template_id, (template.at_ms, Vec::new()));
                }
                for job in service.pool.jobs.newest() {
                    let template = job.template_id.and_then(|id| templates.get_mut(&id));
                    // Ids begin again with every life of the pool.
                    if let Some((_, jobs)) = template.filter(|(came, _)| *came <= job.at_ms) {
                        jobs.push(u64::from(job.job_id));
                    }
                }
                let work = service.status.more.get("work").and_then(Current::of);
                work.map(|work| work.template_id)
            }
            Kind::Jdc => {
                for job in &service.jdc.jobs {
                    let came = (job.created_whole_ms(), Vec::new());
                    let template = templates.entry(job.template.template_id).or_insert(came);
                    template.1.push(job.job);
                }
                let mut jobs = service.jdc.jobs.iter();
                let current = jobs.find(|job| job.state != "over");
                current.map(|job| job.template.template_id)
            }
            _ => return None,
        };
        Some(Self {
            name: service.name().to_owned(),
            kind: service.peer.kind,
            links: service.peer.links.clone(),
            templates,
            current,
        })
    }

    /// Whether it may be a client that calls itself so; the lab's own roles say which they are.
    fn is_called(&self, firmware: &str) -> bool {
        let said = firmware.split('/').next().unwrap_or_default();
        let mut kinds = [Kind::Pool, Kind::Jdc].into_iter();
        let kind = kinds.find(|kind| kind.name() == said);
        kind.is_none_or(|kind| kind == self.kind)
    }

    fn used(&self, template_id: u64) -> Used {
        let jobs = self.templates.get(&template_id).map(|(_, jobs)| jobs);
        let jobs = jobs.map(Vec::as_slice).unwrap_or_default();
        Used {
            by: self.name.clone(),
            jobs: jobs.iter().copied().take(MAX_JOBS).collect(),
            jobs_total: jobs.len(),
            is_current: self.current == Some(template_id),
        }
    }
}

/// Templates are numbered for each client, and nobody tells which service a client is: it is the
/// one to which a template of that number came at that time.
fn used(template: &provider::Template, provider: &str, receivers: &[Receiver]) -> Option<Used> {
    let is_it = |receiver: &&Receiver| {
        let came = receiver.templates.get(&template.template_id);
        receiver.links.iter().any(|link| link == provider)
            && receiver.is_called(&template.firmware)
            && came.is_some_and(|(at, _)| at.abs_diff(template.sent_ms) <= ON_ITS_WAY_MS)
    };
    let mut found = receivers.iter().filter(is_it);
    let only = found.next()?;
    found
        .next()
        .is_none()
        .then(|| only.used(template.template_id))
}

impl Used {
    /// Its jobs, by number.
    pub(crate) fn jobs(&self) -> String {
        let mut named: Vec<String> = self.jobs.iter().map(u64::to_string).collect();
        if self.jobs_total > named.len() {
            named.push(format!("{} more", self.jobs_total - named.len()));
        }
        named.join(", ")
    }
}

impl Received {
    /// As what it came.
    pub(crate) fn kind(&self) -> String {
        let pool::Template {
            is_future, at_ms, ..
        } = self.template;
        let activated = self.template.activated_ms;
        match activated.map(|activated| activated.saturating_sub(at_ms)) {
            _ if !is_future => "active".to_owned(),
            None => "future, without a tip yet".to_owned(),
            Some(0) => "future, with its tip".to_owned(),
            Some(ms) => format!("future, its tip came after {}", text::duration(ms as f64)),
        }
    }
}

/// What was declared, seen from both sides.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Declarations {
    pub(crate) servers: Vec<Server>,
    pub(crate) clients: Vec<JdcWork>,
}

/// A job declarator server.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// The newest first.
    pub(crate) declarations: Vec<jds::Declaration>,
}

impl Declarations {
    pub(crate) fn of(app: &App) -> Self {
        let mut servers = Vec::new();
        app.board.each_of(Kind::Jds, |service| {
            servers.push(Server {
                name: service.name().to_owned(),
                state: service.state.name(),
                declarations: newest(service.jds.declarations.iter()),
            });
        });
        let mut clients = Vec::new();
        app.board
            .each_of(Kind::Jdc, |service| clients.push(JdcWork::of(service)));
        Self { servers, clients }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::service::testing::{board, service};

    /// Linked to `tp`, where template 7 came at that time; with two jobs of it, and one of before.
    fn a_pool(name: &str, at_ms: u64) -> Service {
        let mut service = service(name, Kind::Pool, &["tp"]);
        for (job_id, at_ms) in [(3, at_ms - 1), (4, at_ms + 1), (5, at_ms + 1)] {
            service.pool.hear(&pool::Told::JobCreated {
                at_ms,
                client_id: 1,
                channel_id: 1,
                job_id,
                template_id: Some(7),
                is_future: false,
            });
        }
        service.pool.hear(&pool::Told::TemplateReceived {
            at_ms,
            template_id: 7,
            height: Some(2),
            is_future: true,
        });
        let work = json!({"template_id": 7, "height": 2, "prev_hash": "aa", "value_remaining": 9});
        service.status.more.insert("work".to_owned(), work);
        service
    }

    fn a_jdc(created_ms: u64) -> Service {
        let mut service = service("jdc", Kind::Jdc, &["tp"]);
        let job = |job, state: &str, template_id| jdc::Job {
            job,
            state: state.to_owned(),
            created_ms,
            template: jdc::Template {
                template_id,
                ..jdc::Template::default()
            },
            ..jdc::Job::default()
        };
        service.jdc.jobs = vec![job(9, "over", 8), job(8, "set", 7)];
        service
    }

    fn a_provider(firmware: &str, sent_ms: u64) -> Service {
        let mut service = service("tp", Kind::TemplateProvider, &[]);
        service.provider.templates = vec![provider::Template {
            template_id: 7,
            firmware: firmware.to_owned(),
            sent_ms,
            fees: Some(1000),
            ..provider::Template::default()
        }];
        service
    }

    fn user(services: impl IntoIterator<Item = Service>) -> Option<Used> {
        let work = Work::on(&board(services));
        work.providers[0].templates[0].used.clone()
    }

    #[test]
    fn a_template_is_used_by_whom_it_came_to_at_that_time() {
        let sent = 100_000;
        let used = Used {
            by: "pool".to_owned(),
            jobs: vec![5, 4],
            jobs_total: 2,
            is_current: true,
        };
        let tp = || a_provider("pool/0.1", sent);
        assert_eq!(user([tp(), a_pool("pool", sent + 3)]), Some(used.clone()));
        // Both had a template of that number then, and one says that it is a pool.
        let both = [tp(), a_pool("pool", sent + 3), a_jdc(sent + 3)];
        assert_eq!(user(both), Some(used));
        let declared = [
            a_provider("jdc/0.1", sent),
            a_pool("pool", sent),
            a_jdc(sent),
        ];
        let declared = user(declared).unwrap();
        assert_eq!((&declared.by[..], &declared.jobs[..]), ("jdc", &[8][..]));
        assert!(declared.is_current);
    }

    #[test]
    fn who_uses_a_template_is_not_guessed() {
        let sent = 100_000;
        // Another make, and two that it may be.
        let unclear = [
            a_provider("tp-client", sent),
            a_pool("pool", sent),
            a_jdc(sent),
        ];
        assert_eq!(user(unclear), None);
        let twins = [
            a_provider("pool/0.1", sent),
            a_pool("pool", sent),
            a_pool("pool-2", sent),
        ];
        assert_eq!(user(twins), None);
        // One of before the pool was started anew.
        let early = [a_provider("pool/0.1", sent), a_pool("pool", sent + 60_000)];
        assert_eq!(user(early), None);
        let mut elsewhere = a_pool("pool", sent);
        elsewhere.peer.links = vec!["tp-2".to_owned()];
        assert_eq!(user([a_provider("pool/0.1", sent), elsewhere]), None);
    }

    #[test]
    fn a_pools_templates_have_the_fees_that_their_provider_tells() {
        let services = [a_provider("pool/0.1", 100_000), a_pool("pool", 100_001)];
        let work = Work::on(&board(services));
        let received = &work.pools[0].templates[0];
        assert_eq!(received.fees, Some(1000));
        assert_eq!(received.used.jobs(), "5, 4");
        assert_eq!(received.kind(), "future, without a tip yet");
        let many = Used {
            jobs_total: 9,
            ..received.used.clone()
        };
        assert_eq!(many.jobs(), "5, 4, 7 more");
    }
}
