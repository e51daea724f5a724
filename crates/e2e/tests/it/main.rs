//! One binary for all end-to-end tests.

mod device;
mod faults;
mod first_block;
mod killed;
mod site;
mod tidy;
