//! The Job Declaration Protocol (SV2 chapter 6).

pub mod client;
