//! The model beside what was measured on Kubernetes.

use super::*;

#[test]
fn under_the_gate_the_model_rests_where_kubernetes_was_measured_to_rest() {
    use super::super::{at, in_batches, own, snapshot, template};
    use crate::rollout::change;
    let mut cluster = Cluster::at_rest(at(0), template("old"), 10, own());
    let order =
        super::super::at_step(super::super::Step::BringUp, in_batches(3, super::super::AUTOMATIC));
    for (index, new, old) in [(0, 3, 10), (1, 6, 7), (2, 10, 4)] {
        let view = cluster.view();
        cluster.make(&change::bring_up(&order, &snapshot(), &view, index, 10, index == 0).into());
        for choice in 0..500 {
            cluster.look_at_deployment();
            cluster.look_at_set(choice);
            cluster.start_a_pod(choice);
        }
        assert!(cluster.is_settled());
        assert_eq!(
            (cluster.pods_of(&template("new")), cluster.pods_of(&template("old"))),
            (new, old)
        );
    }
}
