//! The lab: starts, watches and stops a whole mining network on one machine.
//!
//! A [`topology::Topology`] says which services there are. Pure functions make one
//! [`service::ServiceSpec`] of each. [`startup`] brings them up along the graph of their needs, by
//! asking each whether it is ready. A [`backend::Backend`] runs them: as containers, or as local
//! processes. [`lab::Lab`] is what programs use; the `lab` command is a printer of it.
//!
//! The library never exits the process and never catches a signal. It reads the environment in
//! [`programs::Programs::from_env`], [`state::home`] and while looking for Docker, nowhere else.

pub mod backend;
pub mod chaos;
pub mod compose;
pub mod difficulty;
pub mod doctor;
pub mod dump;
pub mod duration;
pub mod fault;
pub mod image;
pub mod lab;
pub mod links;
pub mod log;
pub mod names;
pub mod port;
pub mod programs;
pub mod progress;
pub mod rpc;
pub mod scenario;
pub mod secrets;
pub mod service;
pub mod signet;
pub mod snapshot;
pub mod startup;
pub mod state;
pub mod subnet;
pub mod swap;
pub mod topology;
pub mod wallet;

mod diagnosis;
mod plan;
mod probe;
