//! What other people and programs do to the Deployment, in whatever state an order is.
//!
//! Each writes as its program does: under that program's field manager. Each write of the
//! Deployment bears a mark of its own, so that the checker knows it from Sluice's.

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    checker::{HAND, Hand as Told},
    operation::{Fault, User},
    record::Recorder,
};

/// Longest time between two writes of one hand.
const BETWEEN: Duration = Duration::from_millis(150);

/// Longest time until a Deployment that was deleted is gone.
const GONE: Duration = Duration::from_secs(5);

const REVISION: &str = "deployment.kubernetes.io/revision";

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Hand {
    SetImage(Fault),
    /// `kubectl rollout restart`.
    Restart,
    Undo,
    Pause,
    Resume,
    Scale(i32),
    /// An autoscaler's steps, by their seed, with so many changes between two of them.
    Walk {
        steps: usize,
        seed: u64,
        between: u64,
    },
    Strategy {
        max_surge: i32,
        max_unavailable: i32,
    },
    MinReady(i32),
    Deadline(i32),
    Annotate(Annotations),
    /// Of the ReplicaSets that have pods, the one with this number.
    DeleteReplicaSet(usize),
    DeletePod(usize),
    Delete,
    /// Deletes the Deployment, and makes one of its name.
    MakeAnew,
    /// A tool that writes the same field again and again.
    PutBack {
        user: User,
        times: usize,
        between: u64,
    },
}

/// What becomes of Sluice's own annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotations {
    LowerFence,
    RaiseFence,
    AnotherOrder,
    Removed,
    /// As an old ReplicaSet has them.
    Old,
}

impl Hand {
    pub fn at_random(chance: &mut StdRng) -> Self {
        match chance.random_range(0..100) {
            0..=7 => Self::SetImage(if chance.random_ratio(1, 3) {
                Fault::NeverReady
            } else {
                Fault::None
            }),
            8..=12 => Self::Restart,
            13..=17 => Self::Undo,
            18..=25 => Self::Pause,
            26..=35 => Self::Resume,
            36..=45 => Self::Scale(chance.random_range(1..=12)),
            46..=55 => Self::Walk {
                steps: chance.random_range(2..=8),
                seed: chance.random(),
                between: chance.random_range(0..=12),
            },
            56..=63 => Self::Strategy {
                max_surge: chance.random_range(1..=4),
                max_unavailable: chance.random_range(0..=3),
            },
            64..=68 => Self::MinReady(chance.random_range(0..=2)),
            69..=72 => Self::Deadline(chance.random_range(300..=900)),
            73..=80 => Self::Annotate(match chance.random_range(0..5) {
                0 => Annotations::LowerFence,
                1 => Annotations::RaiseFence,
                2 => Annotations::AnotherOrder,
                3 => Annotations::Removed,
                _ => Annotations::Old,
            }),
            81..=85 => Self::DeleteReplicaSet(chance.random_range(0..2)),
            86..=91 => Self::DeletePod(chance.random_range(0..8)),
            92 => Self::Delete,
            93..=94 => Self::MakeAnew,
            _ => Self::PutBack {
                user: User {
                    max_surge: chance.random_range(1..=3),
                    max_unavailable: chance.random_range(0..=2),
                    progress_deadline_seconds: chance.random_range(300..=900),
                },
                times: chance.random_range(2..=5),
                between: chance.random_range(0..=8),
            },
        }
    }
}

/// The hands of one life.
pub struct Hands<'a> {
    pub client: Client,
    pub namespace: &'a str,
    pub name: &'a str,
    pub recorder: &'a Recorder,
    /// How many writes of hands there were, which makes each mark another one.
    pub marks: &'a mut u64,
}

impl Hands<'_> {
    pub async fn lay(&mut self, hand: Hand) {
        match hand {
            Hand::SetImage(fault) => {
                *self.marks += 1;
                let image = format!("shop/web:hand-{}{}", self.marks, fault.tag());
                let containers = json!([{ "name": self.name, "image": image }]);
                let patch = json!({ "template": { "spec": { "containers": containers } } });
                self.write("kubectl-set", Told::Template, patch, true).await;
            }
            Hand::Restart => {
                let at = format!("restart-{}", *self.marks + 1);
                let mark =
                    json!({ "metadata": { "annotations": { crate::checker::RESTARTED: at } } });
                self.write("kubectl-rollout", Told::Template, json!({ "template": mark }), false)
                    .await;
            }
            Hand::Undo => self.bring_back(true).await,
            Hand::Pause => {
                self.write("kubectl-rollout", Told::Pause, json!({ "paused": true }), false).await;
            }
            Hand::Resume => {
                self.write("kubectl-rollout", Told::Settings, json!({ "paused": null }), false)
                    .await;
            }
            Hand::Scale(replicas) => {
                self.write("kubectl", Told::Scale, json!({ "replicas": replicas }), false).await;
            }
            Hand::Walk { steps, seed, between } => self.walk(steps, seed, between).await,
            Hand::Strategy { max_surge, max_unavailable } => {
                let rolling = json!({ "maxSurge": max_surge, "maxUnavailable": max_unavailable });
                let patch =
                    json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": rolling } });
                self.write("kubectl-patch", Told::Settings, patch, false).await;
            }
            Hand::MinReady(seconds) => {
                let patch = json!({ "minReadySeconds": seconds });
                self.write("kubectl-patch", Told::Settings, patch, false).await;
            }
            Hand::Deadline(seconds) => {
                let patch = json!({ "progressDeadlineSeconds": seconds });
                self.write("kubectl-patch", Told::Settings, patch, false).await;
            }
            Hand::Annotate(annotations) => self.annotate(annotations).await,
            Hand::DeleteReplicaSet(number) => {
                let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), self.namespace);
                let all = self.replica_sets().await;
                let mut with_pods = all.iter().filter(|set| replicas(set) > 0);
                if let Some(set) = with_pods.nth(number) {
                    let name = set.name_any();
                    self.tell(Told::Takes(format!("{name}-"))).await;
                    let _ = sets.delete(&name, &DeleteParams::background()).await;
                }
            }
            Hand::DeletePod(number) => {
                let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
                let Ok(all) = pods.list(&ListParams::default()).await else { return };
                if let Some(pod) = all.items.get(number) {
                    self.tell(Told::Takes(pod.name_any())).await;
                    let _ = pods.delete(&pod.name_any(), &DeleteParams::default()).await;
                }
            }
            Hand::Delete => self.delete().await,
            Hand::MakeAnew => self.make_anew().await,
            Hand::PutBack { user, times, between } => {
                for _ in 0..times {
                    let rolling = json!({ "maxSurge": user.max_surge, "maxUnavailable": user.max_unavailable });
                    let patch = json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": rolling } });
                    self.write("argocd-controller", Told::Settings, patch, false).await;
                    let _ = timeout(BETWEEN, self.recorder.see(between)).await;
                }
            }
        }
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Notes what a hand is about to do, behind everything that happened before.
    async fn tell(&self, told: Told) {
        if let Ok(list) = self.deployments().list(&ListParams::default()).await {
            let version = list.metadata.resource_version.and_then(|it| it.parse().ok());
            self.recorder.tell(version.unwrap_or(0), told);
        }
    }

    /// Writes fields of the Deployment's spec.
    async fn write(&mut self, manager: &str, told: Told, spec: Value, strategic: bool) {
        self.tell(told).await;
        *self.marks += 1;
        let patch = json!({
            "metadata": { "annotations": { HAND: self.marks.to_string() } },
            "spec": spec,
        });
        let by = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        let patch = if strategic { Patch::Strategic(patch) } else { Patch::Merge(patch) };
        let _ = self.deployments().patch(self.name, &by, &patch).await;
    }

    async fn walk(&mut self, steps: usize, seed: u64, between: u64) {
        let mut chance = StdRng::seed_from_u64(seed);
        let Ok(Some(now)) = self.deployments().get_opt(self.name).await else { return };
        let mut replicas = now.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        // An autoscaler leaves what was stopped.
        if replicas == 0 {
            return;
        }
        let by = PatchParams {
            field_manager: Some("kube-controller-manager".into()),
            ..PatchParams::default()
        };
        for _ in 0..steps {
            let step = chance.random_range(1..=5) * if chance.random_bool(0.5) { 1 } else { -1 };
            replicas = (replicas + step).clamp(1, 20);
            self.tell(Told::Scale).await;
            let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
            let _ = self.deployments().patch_scale(self.name, &by, &patch).await;
            let _ = timeout(BETWEEN, self.recorder.see(between)).await;
        }
    }

    async fn replica_sets(&self) -> Vec<ReplicaSet> {
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), self.namespace);
        let list = sets.list(&ListParams::default()).await;
        let mut sets = list.map(|list| list.items).unwrap_or_default();
        sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
        sets
    }

    /// The annotations of an earlier ReplicaSet, and with `template` its template, too.
    async fn bring_back(&mut self, template: bool) {
        let sets = self.replica_sets().await;
        let Some(earlier) = sets.get(1) else { return };
        let mut annotations = earlier.annotations().clone();
        annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
        self.tell(if template { Told::Template } else { Told::Annotations }).await;
        *self.marks += 1;
        annotations.insert(HAND.into(), self.marks.to_string());
        let mut patch = json!([
            { "op": "replace", "path": "/metadata/annotations", "value": annotations },
        ]);
        if template {
            let set = serde_json::to_value(&earlier.spec).unwrap();
            let mut template = set["template"].clone();
            if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
                labels.remove("pod-template-hash");
            }
            let template = json!({ "op": "replace", "path": "/spec/template", "value": template });
            patch.as_array_mut().unwrap().push(template);
        }
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let manager = if template { "kubectl-rollout" } else { "kubectl-annotate" };
        let by = PatchParams { field_manager: Some(manager.into()), ..PatchParams::default() };
        let _ = self.deployments().patch(self.name, &by, &Patch::Json::<()>(patch)).await;
    }

    async fn annotate(&mut self, what: Annotations) {
        let Ok(Some(now)) = self.deployments().get_opt(self.name).await else { return };
        let fence: i64 = now
            .annotations()
            .get(crate::checker::FENCE)
            .and_then(|text| text.parse().ok())
            .unwrap_or(1);
        let change = match what {
            Annotations::LowerFence => {
                json!({ crate::checker::FENCE: (fence / 2).to_string() })
            }
            Annotations::RaiseFence => json!({ crate::checker::FENCE: (fence + 5).to_string() }),
            Annotations::AnotherOrder => {
                json!({ crate::checker::ORDER: "00000000-0000-7000-8000-000000000000" })
            }
            Annotations::Removed => {
                let ours = now.annotations().keys().filter(|key| key.starts_with("sluice.dev/"));
                ours.map(|key| (key.clone(), Value::Null)).collect()
            }
            Annotations::Old => return self.bring_back(false).await,
        };
        self.tell(Told::Annotations).await;
        *self.marks += 1;
        let mut patch = json!({ "metadata": { "annotations": change } });
        patch["metadata"]["annotations"][HAND] = self.marks.to_string().into();
        let by =
            PatchParams { field_manager: Some("kubectl-annotate".into()), ..Default::default() };
        let _ = self.deployments().patch(self.name, &by, &Patch::Merge(patch)).await;
    }

    async fn delete(&mut self) {
        self.tell(Told::Delete).await;
        let _ = self.deployments().delete(self.name, &DeleteParams::background()).await;
        let gone = async {
            while matches!(self.deployments().get_opt(self.name).await, Ok(Some(_))) {
                let _ = timeout(BETWEEN, self.recorder.see(1)).await;
            }
        };
        let _ = timeout(GONE, gone).await;
    }

    async fn make_anew(&mut self) {
        let Ok(Some(mut anew)) = self.deployments().get_opt(self.name).await else { return };
        self.delete().await;
        anew.metadata = ObjectMeta { name: Some(self.name.into()), ..ObjectMeta::default() };
        anew.status = None;
        if let Some(spec) = &mut anew.spec {
            (spec.paused, spec.strategy) = (None, None);
            (spec.min_ready_seconds, spec.progress_deadline_seconds) = (None, None);
        }
        let by = PostParams { field_manager: Some("kubectl-create".into()), ..Default::default() };
        let _ = self.deployments().create(&by, &anew).await;
    }
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0)
}

fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}
