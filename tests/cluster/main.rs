//! Tests on a cluster: the simulated one, the same through its port, and a real Kubernetes.
//!
//! The conformance suite runs every check of `conformance/` on each, in a namespace
//! of its own, as `simulated::<check>`, `served::<check>` and `real::<check>`; so the
//! simulated cluster stays as faithful as the checks are thorough. The real ones
//! need `SLUICE_TEST_KUBECONFIG` and fail without it (`support/space.rs`).

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy only knows it of the functions marked as tests"
)]

mod conformance;
mod support;

/// Makes three tests of each check. A check that is not listed is dead code, which
/// the build refuses.
macro_rules! conformance {
    ($($file:ident: $($check:ident)*;)*) => {
        mod simulated {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let space = crate::support::Space::simulated().await;
                    space.run(crate::conformance::$file::$check).await;
                }
            )*)*
        }

        mod served {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let space = crate::support::Space::served().await;
                    space.run(crate::conformance::$file::$check).await;
                }
            )*)*
        }

        mod real {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let space = crate::support::Space::real().await;
                    space.run(crate::conformance::$file::$check).await;
                }
            )*)*
        }
    };
}

conformance! {
    api:
        a_new_deployment_gets_the_defaults
        a_wrong_object_is_refused_at_creation
        what_is_not_there_is_404
        a_replacement_from_a_stale_version_is_409
        annotations_raise_the_generation_and_statuses_do_not
        a_dry_run_keeps_nothing
        the_scale_is_read_and_written_alone
        managers_own_what_they_wrote_last
        lists_choose_by_labels_and_fields
        a_kept_object_settles_again_to_itself
        a_cluster_is_known_by_the_uid_of_kube_system;
    table:
        a_table_has_the_cells_that_kubectl_shows
        a_body_may_have_3_mib;
    patch:
        a_failed_test_is_422_and_changes_nothing
        a_test_sees_the_object_as_it_is_kept
        a_replace_of_a_missing_member_adds_it
        an_invalid_change_names_the_field
        the_same_patch_twice_is_no_change
        a_merge_patch_removes_with_null
        a_strategic_patch_merges_containers_by_name;
    watch:
        a_watch_goes_on_from_a_version
        a_watch_tells_what_begins_and_stops_to_match
        a_watch_can_begin_with_a_list
        a_watcher_outlives_its_streams;
    rollout:
        a_deployment_makes_a_replica_set_that_makes_pods
        a_rolling_update_stays_within_surge_and_unavailability
        recreate_never_runs_two_versions
        going_back_takes_the_old_replica_set_again
        old_replica_sets_beyond_the_limit_are_deleted
        a_paused_deployment_keeps_its_pods_when_the_template_changes
        a_scaled_release_keeps_its_proportions
        available_is_ready_for_the_minimum_time
        a_release_that_gets_stuck_exceeds_its_deadline
        pods_that_are_not_ready_go_first
        a_third_version_takes_over_from_the_second
        one_and_two_pods_roll_without_a_gap;
    ownership:
        a_lost_pod_is_replaced
        a_deleted_deployment_takes_its_pods_along
        a_deletion_in_the_foreground_ends_with_the_owner
        an_orphaned_replica_set_keeps_its_pods;
    gate:
        three_batches_rest_at_three_six_and_ten
        a_shrunk_batch_leaves_the_rest_of_the_old
        a_held_release_keeps_its_pods_whatever_is_edited
        a_held_release_scales_and_comes_back
        a_held_release_is_armed_again_and_goes_on
        a_rollback_is_one_patch_and_takes_the_old_pods
        a_batch_sent_twice_is_one_batch
        a_stale_fence_is_refused
        one_pod_and_two_pods_pass_the_gate
        a_broken_image_costs_no_old_pod
        a_release_steps_back_and_goes_on
        a_foreign_version_takes_just_the_gated_places;
    pods:
        a_ready_pod_says_so
        an_image_that_cannot_be_pulled_says_why
        a_crash_loop_counts_restarts
        a_pod_that_is_never_ready_runs
        a_pod_can_lose_its_readiness
        a_stuck_pod_is_being_created
        a_failed_pod_ends
        a_pod_starts_and_stops_when_it_says
        a_pod_that_fits_no_node_is_unschedulable
        an_image_with_blanks_is_taken_but_makes_no_pods;
}
