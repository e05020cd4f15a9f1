//! The console beside the API, on the same listeners.

use axum::{Router, extract::Request, middleware};
use edas::{Beside, Peer, Way};
use service::Service;

use console::{Channel, People, Visitor};

/// The console's pages for the API's router.
#[must_use]
pub fn console(service: Service) -> Beside {
    console_for(service, None)
}

/// The same, for people who sign in through an identity provider too.
#[must_use]
pub fn console_for(service: Service, people: Option<People>) -> Beside {
    let routes = console::routes_for(service, people);
    Beside { open: told(routes.open), signed: told(routes.signed) }
}

/// `routes`, whose requests know how they came.
fn told(routes: Router) -> Router {
    routes.layer(middleware::map_request(async |mut request: Request| {
        if let Some(peer) = request.extensions().get::<Peer>().copied() {
            let channel = match peer.way {
                Way::Tls => Channel::Encrypted,
                Way::Loopback => Channel::Local,
                Way::Plain => Channel::Open,
            };
            request.extensions_mut().insert(channel);
            request.extensions_mut().insert(Visitor(peer.address));
        }
        request
    }))
}
