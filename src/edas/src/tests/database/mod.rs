//! Signed calls down to a real Postgres: they need `DATABASE_URL`, a server on which
//! databases may be created. No cluster is involved.

use super::*;

mod access;
mod adopt;
mod config_data;
mod config_template;
mod first_services;
mod ingress;
mod limits;
mod load_balancer;
mod log;
mod multipart;
mod multipart_ends;
mod network;
mod object_write;
mod operations;
mod packages;
mod precheck;
mod read_back;
mod reading;
mod resource;
mod resources;
mod rights;
mod scaling_rule;
mod server;
mod signed;
mod tags;
mod tls;
mod upload;
mod upload_collection;
mod upload_quota;
mod wrong;
