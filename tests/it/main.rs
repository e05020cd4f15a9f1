//! The integration program: the product on a real Postgres and a simulated
//! cluster. `DATABASE_URL` must name a server on which databases may be created;
//! each test gets one of its own.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy only knows it of the functions marked as tests"
)]

mod access;
mod adopt;
mod audit;
mod autoscaler;
mod cancelled;
mod cause;
mod certain;
mod cluster_trouble;
mod clusters;
mod command_line;
mod configuration;
mod connections;
mod console;
mod controller;
mod core_words;
mod dead_code;
mod documented_commands;
mod documents;
mod driven_clusters;
mod edit;
mod engine;
mod every_step;
mod fault;
mod fetch;
mod follow;
mod graceful_start;
mod guard;
mod hands;
mod hold;
mod known;
mod kubectl;
mod layers;
mod matrix;
mod metrics;
mod migration;
mod notify;
mod object_write;
mod once;
mod operate;
mod package;
mod passing;
mod plain_names;
mod pods;
mod precheck;
mod process;
mod reading;
mod real_pods;
mod restored;
mod retention;
mod rights;
mod room;
mod rooms;
mod schema;
mod sealed;
mod set_back;
mod shapes;
mod start;
mod statements;
mod store;
mod support;
mod takeover;
mod template;
mod traces;
mod upload;
mod waiting;
mod ways_back;

use test_support::sign;
