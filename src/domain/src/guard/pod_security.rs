//! Kubernetes' Pod Security Standards: what each level refuses of a pod.
//!
//! A test compares this with the admission of a real control plane.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    Breach, Excess, Level, Version,
    container::{Container, containers, items, text},
};

/// Capabilities that the level baseline lets containers add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The one that the level restricted lets them add.
const RESTRICTED_CAPABILITY: &str = "NET_BIND_SERVICE";

/// Settings of the kernel that are a pod's own, with the version since which they are
/// known to be.
const SAFE_SYSCTLS: [(u32, &[&str]); 5] = [
    (
        0,
        &[
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.ping_group_range",
            "net.ipv4.tcp_syncookies",
        ],
    ),
    (27, &["net.ipv4.ip_local_reserved_ports"]),
    (
        29,
        &[
            "net.ipv4.tcp_fin_timeout",
            "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes",
            "net.ipv4.tcp_keepalive_time",
        ],
    ),
    (32, &["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]),
    (37, &["net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_slow_start_after_idle"]),
];

/// SELinux types of containers; the last one since 1.31.
const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// Kinds of volumes that the level restricted allows.
const RESTRICTED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What is of AppArmor's old annotations, one for each container.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Everything that a level does not allow.
pub(super) fn find(template: &Value, level: Level, version: Version) -> Vec<Excess> {
    let mut findings =
        Findings { version, found: Vec::new(), breach: Breach::Level(Level::Baseline) };
    if level >= Level::Baseline {
        findings.baseline(template);
    }
    if level >= Level::Restricted {
        findings.breach = Breach::Level(Level::Restricted);
        findings.restricted(template);
    }
    findings.found
}

struct Findings {
    version: Version,
    found: Vec<Excess>,
    breach: Breach,
}

impl Findings {
    fn add(&mut self, path: String, value: impl ToString, allowed: &'static str) {
        let value = Some(value.to_string());
        self.found.push(Excess { path, value, allowed, breach: self.breach });
    }

    fn miss(&mut self, path: String, allowed: &'static str) {
        self.found.push(Excess { path, value: None, allowed, breach: self.breach });
    }

    fn baseline(&mut self, template: &Value) {
        let spec = &template["spec"];
        let pod = &spec["securityContext"];
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec[field] == true {
                self.add(format!("spec.{field}"), "true", "must be false");
            }
        }
        let mut node_folders = HashSet::new();
        for volume in items(&spec["volumes"]) {
            let folder = &volume["hostPath"];
            if !folder.is_null() {
                let path = format!("spec.volumes[{}].hostPath", text(&volume["name"]));
                self.add(path, text(&folder["path"]), "folders of the node must not be mounted");
                node_folders.insert(text(&volume["name"]));
            }
        }
        for sysctl in items(&pod["sysctls"]) {
            let name = text(&sysctl["name"]);
            if !self.is_safe_sysctl(name) {
                let allowed = "must be a setting of the kernel that is the pod's own";
                self.add("spec.securityContext.sysctls".into(), name, allowed);
            }
        }
        self.contexts(pod, |field| format!("spec.securityContext.{field}"));
        for container in containers(template) {
            self.contexts(&container.value["securityContext"], |field| {
                container.path(&format!("securityContext.{field}"))
            });
            self.node_folder_mounts(&container, &node_folders);
            self.container(&container, spec["hostUsers"] == false);
        }
        let annotations = template["metadata"]["annotations"].as_object();
        for (key, value) in annotations.into_iter().flatten() {
            let profile = text(value);
            let is_good = profile.is_empty()
                || profile == "runtime/default"
                || profile.starts_with("localhost/");
            if key.starts_with(APPARMOR_ANNOTATION) && !is_good {
                let allowed = "the profile must be runtime/default or localhost/…";
                self.add(format!("metadata.annotations.{key}"), profile, allowed);
            }
        }
    }

    /// Where folders of the node are mounted: a container that has one is not like one that
    /// has not.
    fn node_folder_mounts(&mut self, container: &Container<'_>, node_folders: &HashSet<&str>) {
        for mount in items(&container.value["volumeMounts"]) {
            let volume = text(&mount["name"]);
            if node_folders.contains(volume) {
                let path = container.path(&format!("volumeMounts[{volume}]"));
                let how = if mount["readOnly"] == true { "read-only" } else { "writable" };
                let folder = match (text(&mount["subPath"]), text(&mount["subPathExpr"])) {
                    ("", inside) | (inside, _) => inside,
                };
                let value = format!("{how} {folder}");
                self.add(path, value.trim_end(), "folders of the node must not be mounted");
            }
        }
    }

    fn is_safe_sysctl(&self, name: &str) -> bool {
        SAFE_SYSCTLS
            .iter()
            .any(|(since, names)| self.version.is_at_least(*since) && names.contains(&name))
    }

    /// What pods and containers say in the same words.
    fn contexts(&mut self, context: &Value, path: impl Fn(&str) -> String) {
        let known = if self.version.is_at_least(31) { 5 } else { 4 };
        let options = &context["seLinuxOptions"];
        if !SELINUX_TYPES[..known].contains(&text(&options["type"])) {
            let allowed = "must be a type of containers, such as container_t";
            self.add(path("seLinuxOptions.type"), text(&options["type"]), allowed);
        }
        for field in ["user", "role"] {
            if !text(&options[field]).is_empty() {
                let value = text(&options[field]);
                self.add(path(&format!("seLinuxOptions.{field}")), value, "must not be set");
            }
        }
        for field in ["seccompProfile", "appArmorProfile"] {
            let profile = &context[field];
            let kind = text(&profile["type"]);
            if !profile.is_null() && !["RuntimeDefault", "Localhost"].contains(&kind) {
                let allowed = "must be RuntimeDefault or Localhost";
                self.add(path(&format!("{field}.type")), kind, allowed);
            }
        }
        if context["windowsOptions"]["hostProcess"] == true {
            self.add(path("windowsOptions.hostProcess"), "true", "must be false");
        }
    }

    fn container(&mut self, container: &Container<'_>, has_own_users: bool) {
        if *container.security("privileged") == true {
            self.add(container.path("securityContext.privileged"), "true", "must be false");
        }
        for capability in items(&container.security("capabilities")["add"]) {
            if !BASELINE_CAPABILITIES.contains(&text(capability)) {
                let path = container.path("securityContext.capabilities.add");
                let allowed = "must be one of the capabilities that containers have by default";
                self.add(path, text(capability), allowed);
            }
        }
        for port in items(&container.value["ports"]) {
            let number = port["hostPort"].as_i64().unwrap_or(0);
            if number != 0 {
                self.add(container.path("ports.hostPort"), number, "must not be set");
            }
        }
        if !(has_own_users && self.version.is_at_least(35)) {
            self.proc_mount(container);
        }
        if self.version.is_at_least(34) {
            for field in [
                "livenessProbe",
                "readinessProbe",
                "startupProbe",
                "lifecycle.postStart",
                "lifecycle.preStop",
            ] {
                let pointer = format!("/{}", field.replace('.', "/"));
                let probe = container.value.pointer(&pointer).unwrap_or(&Value::Null);
                for way in ["httpGet", "tcpSocket"] {
                    let host = text(&probe[way]["host"]);
                    if !host.is_empty() {
                        let path = container.path(&format!("{field}.{way}.host"));
                        self.add(path, host, "must not be set: the pod itself is asked");
                    }
                }
            }
        }
    }

    fn proc_mount(&mut self, container: &Container<'_>) {
        let mount = container.security("procMount");
        if !mount.is_null() && *mount != "Default" {
            let path = container.path("securityContext.procMount");
            self.add(path, text(mount), "must be Default");
        }
    }

    fn restricted(&mut self, template: &Value) {
        let spec = &template["spec"];
        let pod = &spec["securityContext"];
        let is_windows = spec["os"]["name"] == "windows";
        let has_own_users = spec["hostUsers"] == false;
        let may_be_root = has_own_users && self.version.is_at_least(35);
        for volume in items(&spec["volumes"]) {
            let is_harmless = RESTRICTED_VOLUMES
                .iter()
                .any(|kind| volume.get(*kind).is_some_and(|it| !it.is_null()));
            // A folder of the node is told of already.
            if !is_harmless && volume["hostPath"].is_null() && has_source(volume) {
                let kind = volume.as_object().into_iter().flatten();
                let kind = kind.map(|(key, _)| key.as_str()).find(|key| *key != "name");
                let path = format!("spec.volumes[{}]", text(&volume["name"]));
                let allowed = "must be a ConfigMap, Secret, claim, emptyDir, projected, CSI, ephemeral or image volume";
                self.add(path, kind.unwrap_or_default(), allowed);
            }
        }
        let non_root = &pod["runAsNonRoot"];
        if !may_be_root {
            if *non_root == false {
                let path = "spec.securityContext.runAsNonRoot".to_owned();
                self.add(path, "false", "must be true");
            }
            if pod["runAsUser"] == 0 {
                self.add("spec.securityContext.runAsUser".into(), 0, "must not be 0");
            }
        }
        let has_seccomp =
            ["RuntimeDefault", "Localhost"].contains(&text(&pod["seccompProfile"]["type"]));
        for container in containers(template) {
            if !may_be_root {
                match container.security("runAsNonRoot").as_bool() {
                    Some(true) => {}
                    Some(false) => {
                        let path = container.path("securityContext.runAsNonRoot");
                        self.add(path, "false", "must be true");
                    }
                    None if *non_root == true => {}
                    None => {
                        let path = container.path("securityContext.runAsNonRoot");
                        self.miss(path, "must be true, here or for the pod");
                    }
                }
                if *container.security("runAsUser") == 0 {
                    self.add(container.path("securityContext.runAsUser"), 0, "must not be 0");
                }
            }
            if has_own_users && self.version.is_at_least(35) {
                self.proc_mount(&container);
            }
            if !is_windows {
                self.restricted_on_linux(&container, has_seccomp);
            }
        }
    }

    fn restricted_on_linux(&mut self, container: &Container<'_>, has_seccomp: bool) {
        let path = container.path("securityContext.allowPrivilegeEscalation");
        match container.security("allowPrivilegeEscalation").as_bool() {
            Some(false) => {}
            Some(true) => self.add(path, "true", "must be false"),
            None => self.miss(path, "must be false"),
        }
        if container.security("seccompProfile").is_null() && !has_seccomp {
            let path = container.path("securityContext.seccompProfile.type");
            self.miss(path, "must be RuntimeDefault or Localhost, here or for the pod");
        }
        let capabilities = container.security("capabilities");
        if !items(&capabilities["drop"]).any(|it| it == "ALL") {
            let path = container.path("securityContext.capabilities.drop");
            self.miss(path, "must have ALL");
        }
        for capability in items(&capabilities["add"]) {
            let name = text(capability);
            // Those beyond the level baseline are told of already.
            if name != RESTRICTED_CAPABILITY && BASELINE_CAPABILITIES.contains(&name) {
                let path = container.path("securityContext.capabilities.add");
                self.add(path, name, "must be NET_BIND_SERVICE or nothing");
            }
        }
    }
}

/// Whether a volume says what it is: one that does not is an emptyDir.
fn has_source(volume: &Value) -> bool {
    let fields = volume.as_object().into_iter().flatten();
    fields.filter(|(key, value)| *key != "name" && !value.is_null()).count() > 0
}
