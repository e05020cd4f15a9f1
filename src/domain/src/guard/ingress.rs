//! Annotations of an Ingress that do no more than its rules do.

use crate::pattern::Pattern;

/// Annotations that change how the own hosts and paths are served, and nothing else. What
/// puts text into the controller's configuration, sends requests elsewhere, takes other
/// hosts or reads Secrets is not among them.
pub const INGRESS_ANNOTATIONS: [&str; 33] = [
    "alb.ingress.kubernetes.io/backend-protocol",
    "alb.ingress.kubernetes.io/healthcheck-*",
    "alb.ingress.kubernetes.io/ssl-redirect",
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/issuer",
    "kubernetes.io/ingress.class",
    "nginx.ingress.kubernetes.io/affinity",
    "nginx.ingress.kubernetes.io/affinity-mode",
    "nginx.ingress.kubernetes.io/backend-protocol",
    "nginx.ingress.kubernetes.io/canary",
    "nginx.ingress.kubernetes.io/canary-by-cookie",
    "nginx.ingress.kubernetes.io/canary-by-header",
    "nginx.ingress.kubernetes.io/canary-by-header-value",
    "nginx.ingress.kubernetes.io/canary-weight",
    "nginx.ingress.kubernetes.io/client-body-buffer-size",
    "nginx.ingress.kubernetes.io/cors-*",
    "nginx.ingress.kubernetes.io/enable-cors",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/limit-*",
    "nginx.ingress.kubernetes.io/load-balance",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-buffering",
    "nginx.ingress.kubernetes.io/proxy-connect-timeout",
    "nginx.ingress.kubernetes.io/proxy-next-upstream-tries",
    "nginx.ingress.kubernetes.io/proxy-read-timeout",
    "nginx.ingress.kubernetes.io/proxy-send-timeout",
    "nginx.ingress.kubernetes.io/rewrite-target",
    "nginx.ingress.kubernetes.io/session-cookie-*",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/upstream-hash-by",
    "nginx.ingress.kubernetes.io/use-regex",
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "prometheus.io/*",
];

/// Whether an Ingress may have an annotation without a policy that names it. A key without
/// a domain is its author's own, and no controller reads it.
#[must_use]
pub fn is_plain_ingress_annotation(key: &str) -> bool {
    !key.contains('/') || INGRESS_ANNOTATIONS.iter().any(|it| Pattern::new(*it).fits(key))
}
