//! Lists of applications and orders, over all namespaces, filtered, and a page at a time.

mod line;
mod overview;

pub use line::{ApplicationFilter, OrderFilter};
pub use overview::{ListedApplication, ListedOrder, WantedApplications, WantedOrders};
