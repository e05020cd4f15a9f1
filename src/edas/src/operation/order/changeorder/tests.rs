//! Orders in every state, as clients walk through them.
//!
//! Fields and types are held against the contract; the order of stages and
//! their numbers against what the build plugins step on.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::wire::shape;
use domain::{
    ApplicationId, BatchId, OrderId,
    order::{State, Step, plan::Strategy},
};
use service::{BatchView, PodState};

fn pod(name: &str, ready: bool, message: &str) -> PodState {
    let phase = if ready { "Running" } else { "Pending" };
    PodState {
        name: name.into(),
        ip: "192.0.2.7".into(),
        phase: phase.into(),
        ready,
        message: message.into(),
    }
}

fn batch(number: usize, state: State, pods: Vec<PodState>) -> BatchView {
    let began = (state != State::Ready).then(|| "2026-11-23T22:58:10.793Z".parse().unwrap());
    BatchView {
        id: BatchId::new(),
        number,
        canary: false,
        state,
        size: 2,
        target: 2,
        started_at: began,
        finished_at: began.filter(|_| state.is_final()),
        updated_at: "2026-11-23T22:58:11Z".parse().unwrap(),
        message: String::new(),
        pods,
    }
}

fn order(state: State, batches: Vec<BatchView>) -> OrderView {
    OrderView {
        id: OrderId::new(),
        application: ApplicationId::new(),
        kind: Kind::Deploy,
        state,
        step: Step::BringUp,
        strategy: Strategy { canary: 0, batches: 2, pace: Pace::Manual },
        batch_count: batches.len(),
        batches,
        replicas: None,
        replicas_before: None,
        description: "by a test".into(),
        notes: vec!["Readiness: there is no readiness probe".into()],
        version: "2.0".into(),
        image: "shop/web:2.0".into(),
        package: None,
        held_by: None,
        approved_by: None,
        message: "why".into(),
        trouble: String::new(),
        created_at: "2026-11-23T22:58:10Z".parse().unwrap(),
        finished_at: None,
        created_by: "tests".into(),
        source: domain::Source::Api,
        rolls_back: None,
        rolled_back_by: Some(OrderId::new()),
        can_roll_back: true,
    }
}

fn shown(order: &OrderView) -> Value {
    let reply = json!(ChangeOrderInfoReply { info: info(order) });
    shape::check("GetChangeOrderInfo", &reply);
    reply["changeOrderInfo"].clone()
}

#[rstest]
#[case(domain::Source::Api, "pop")]
#[case(domain::Source::Console, "console")]
#[case(domain::Source::Cli, "console")]
#[case(domain::Source::System, "sluice")]
fn what_an_order_was_asked_for_through_has_the_words_of_edas(
    #[case] source: domain::Source,
    #[case] word: &str,
) {
    let order = OrderView { source, ..order(State::Running, Vec::new()) };
    assert_eq!(listed(&order).source, word);
}

#[rstest]
#[case(State::Ready, 0)]
#[case(State::WaitingApproval, 0)]
#[case(State::Running, 1)]
#[case(State::Succeeded, 2)]
#[case(State::Failed, 3)]
#[case(State::Aborted, 6)]
#[case(State::WaitingConfirmation, 8)]
#[case(State::WaitingInterval, 9)]
#[case(State::SystemFailed, 10)]
fn every_state_has_its_number(#[case] state: State, #[case] number: i32) {
    let order = order(state, vec![batch(1, state, Vec::new())]);
    let shown = shown(&order);
    assert_eq!(
        (&shown["Status"], &shown["PipelineInfoList"]["PipelineInfo"][0]["PipelineStatus"]),
        (&json!(number), &json!(number))
    );
}

#[test]
fn an_order_that_waits_for_approval_says_so_beside_a_status_that_clients_know() {
    let mut waiting = order(State::WaitingApproval, Vec::new());
    waiting.held_by = Some(domain::hold::HeldBy::Approval);
    waiting.message = "waits for somebody else to approve it, as the rule four-eyes wants".into();
    let info = shown(&waiting);
    assert_eq!((&info["Status"], &info["ApprovalStatus"]), (&json!(0), &json!(11)));
    assert_eq!((&info["HeldBy"], &info["ApprovedBy"]), (&json!("approval"), &json!("")));
    let desc = info["Desc"].as_str().unwrap();
    assert!(desc.ends_with("as the rule four-eyes wants (ApproveChangeOrder)"), "{desc}");
    let approved = OrderView {
        state: State::Ready,
        held_by: Some(domain::hold::HeldBy::Freeze),
        approved_by: Some("ops".into()),
        ..waiting
    };
    let info = shown(&approved);
    assert_eq!((&info["ApprovalStatus"], &info["ApprovedBy"]), (&json!(12), &json!("ops")));
    assert_eq!(info["HeldBy"], "freeze");
}

#[test]
fn a_running_batch_shows_its_instances_and_one_that_has_not_begun_shows_nothing() {
    let pods = vec![pod("web-1", true, ""), pod("web-2", false, "")];
    let shown = shown(&order(
        State::Running,
        vec![batch(1, State::Running, pods), batch(2, State::Ready, Vec::new())],
    ));
    let [first, second] = shown["PipelineInfoList"]["PipelineInfo"].as_array().unwrap().as_slice()
    else {
        panic!("two batches")
    };
    assert_eq!(
        (&first["StartTime"], &first["UpdateTime"]),
        (&json!("1795474690793"), &json!("1795474691000"))
    );
    let stages = first["StageList"]["StageInfoDTO"].as_array().unwrap();
    let states: Vec<_> = stages
        .iter()
        .map(|it| (it["StageName"].as_str().unwrap(), it["Status"].as_i64().unwrap()))
        .collect();
    assert_eq!(states, [("Process Start", 2), ("Scale Out", 1), ("Process Complete", 0)]);
    assert!(
        stages.iter().all(|it| it["StageResultDTO"]["ServiceStage"].is_object()),
        "a stage without a result crashes the plugin (R27)"
    );
    assert_eq!(stages[1]["StageResultDTO"]["ServiceStage"], json!({}));
    let instances =
        stages[1]["StageResultDTO"]["InstanceDTOList"]["InstanceDTO"].as_array().unwrap();
    assert_eq!(
        instances.iter().map(|it| it["Status"].as_i64().unwrap()).collect::<Vec<_>>(),
        [2, 1]
    );
    let task = &first["StageDetailList"]["StageDetailDTO"][0]["TaskList"]["TaskInfoDTO"][0];
    assert_eq!(
        (&task["TaskStatus"], &task["TaskMessage"]),
        (&json!("1"), &json!("1 of 2 new instances are ready"))
    );

    assert_eq!(
        (&second["StageList"]["StageInfoDTO"], &second["StageDetailList"]["StageDetailDTO"]),
        (&json!([]), &json!([]))
    );
    assert_eq!((&second["StartTime"], &second["UpdateTime"]), (&json!(""), &json!("")));
}

#[test]
fn a_reply_shows_a_thousand_instances_at_most_and_all_that_are_in_trouble() {
    let many = |batch: usize, ready: bool, count: usize| -> Vec<PodState> {
        (0..count).map(|number| pod(&format!("web-{batch}-{number}"), ready, "")).collect()
    };
    let second = [many(2, true, 400), many(2, false, 3)].concat();
    let order = order(
        State::Running,
        vec![batch(1, State::Succeeded, many(1, true, 5000)), batch(2, State::Running, second)],
    );
    let shown = shown(&order);
    let instances = |batch: usize| -> Vec<Value> {
        let list = &shown["PipelineInfoList"]["PipelineInfo"][batch]["StageList"]["StageInfoDTO"]
            [1]["StageResultDTO"]["InstanceDTOList"];
        list["InstanceDTO"].as_array().unwrap().clone()
    };
    assert_eq!((instances(0).len(), instances(1).len()), (597, 403));
    assert_eq!(instances(1).iter().filter(|it| it["Status"] == 1).count(), 3);
    let task = &shown["PipelineInfoList"]["PipelineInfo"][1]["StageDetailList"]["StageDetailDTO"]
        [0]["TaskList"]["TaskInfoDTO"][0];
    assert_eq!(task["TaskMessage"], "400 of 2 new instances are ready", "all are counted");
    assert!(shown.to_string().len() < 1 << 20);
}

#[test]
fn a_batch_that_is_done_ends_with_process_complete_and_success() {
    let shown = shown(&order(
        State::Succeeded,
        vec![batch(1, State::Succeeded, vec![pod("web-1", false, "gone later")])],
    ));
    let stages = shown["PipelineInfoList"]["PipelineInfo"][0]["StageList"]["StageInfoDTO"]
        .as_array()
        .unwrap();
    assert!(stages.iter().all(|it| it["Status"] == 2));
    assert_eq!(stages[1]["StageResultDTO"]["InstanceDTOList"]["InstanceDTO"][0]["Status"], 2);
    let last = &stages.last().unwrap()["StageResultDTO"]["ServiceStage"];
    assert_eq!(
        (&last["StageName"], &last["Message"]),
        (&json!("Process Complete"), &json!("Success"))
    );
}

#[test]
fn a_failed_batch_says_why_where_typed_sdks_can_read_it() {
    let mut failed = batch(
        1,
        State::Failed,
        vec![pod("web-1", false, "ErrImagePull: no such image"), pod("web-2", false, "")],
    );
    failed.message = "pod web-1: ErrImagePull: no such image".into();
    let shown = shown(&order(State::Failed, vec![failed]));
    let first = &shown["PipelineInfoList"]["PipelineInfo"][0];
    let task = &first["StageDetailList"]["StageDetailDTO"][0]["TaskList"]["TaskInfoDTO"][0];
    assert_eq!(
        (&task["TaskErrorCode"], &task["TaskErrorMessage"]),
        (&json!("BatchFailed"), &json!("pod web-1: ErrImagePull: no such image"))
    );
    let instances =
        &first["StageList"]["StageInfoDTO"][1]["StageResultDTO"]["InstanceDTOList"]["InstanceDTO"];
    assert_eq!(
        instances[0]["InstanceStageDTOList"]["InstanceStageDTO"][0]["StageMessage"],
        "ErrImagePull: no such image"
    );
    assert_eq!((&instances[0]["Status"], &instances[1]["Status"]), (&json!(3), &json!(6)));
    let last = &first["StageList"]["StageInfoDTO"][2];
    assert_eq!((&last["StageName"], &last["Status"]), (&json!("Process Complete"), &json!(3)));
    assert_eq!(
        last["StageResultDTO"]["ServiceStage"]["Message"],
        "pod web-1: ErrImagePull: no such image"
    );
    assert_eq!(shown["StatusMessage"], "why");
    assert_eq!(shown["Desc"], "by a test | why");
    assert_eq!(shown["RolledBackBy"].as_str().unwrap().len(), 36);
}

#[test]
fn what_keeps_the_next_batch_from_beginning_stands_where_typed_sdks_can_read_it() {
    let done = batch(1, State::Succeeded, vec![pod("web-1", false, "")]);
    let next = BatchView { started_at: None, ..batch(2, State::Ready, Vec::new()) };
    let why = "1 of 2 new pods are Ready: pod web-1 is not Ready";
    let (message, trouble) = (why.into(), why.into());
    let batches = vec![done, next];
    let waiting = OrderView { message, trouble, ..order(State::WaitingConfirmation, batches) };
    assert_eq!(
        shown(&waiting)["Desc"],
        format!("by a test | batch 2 of 2 (2 instances) does not begin while this lasts: {why}")
    );
}

#[rstest]
#[case(
    State::WaitingConfirmation,
    "waits for a person: batch 2 of 2 (2 instances) begins after ContinuePipeline"
)]
#[case(State::WaitingInterval, "batch 2 of 2 (2 instances) begins by itself after the wait time")]
fn what_an_order_waits_for_stands_where_typed_sdks_can_read_it(
    #[case] state: State,
    #[case] waits: &str,
) {
    let done = batch(1, State::Succeeded, vec![pod("web-1", true, ""), pod("web-2", true, "")]);
    let next = BatchView { started_at: None, ..batch(2, State::Ready, Vec::new()) };
    let waiting = OrderView { message: String::new(), ..order(state, vec![done, next]) };
    let shown = shown(&waiting);
    assert_eq!(shown["Desc"], format!("by a test | {waits}"));
    let batches = &shown["PipelineInfoList"]["PipelineInfo"];
    let task = &batches[0]["StageDetailList"]["StageDetailDTO"][0]["TaskList"]["TaskInfoDTO"][0];
    assert_eq!(task["TaskMessage"], format!("2 of 2 new instances are ready; {waits}"));
    assert_eq!(batches[1]["StageDetailList"]["StageDetailDTO"], json!([]));
}

#[rstest]
#[case(Kind::Create, "Create", "CoCreateApp")]
#[case(Kind::Deploy, "Deploy", "CoDeploy")]
#[case(Kind::DeployVersion, "Deploy", "CoDeployHistroy")]
#[case(Kind::Rollback, "Rollback", "CoRollback")]
#[case(Kind::Stop, "Stop", "CoStop")]
#[case(Kind::Start, "Start", "CoStart")]
#[case(Kind::Restart, "Restart", "CoRestartApplication")]
#[case(Kind::Configure, "Update Config", "CoRescaleApplicationVertically")]
#[case(Kind::Delete, "Delete", "CoDeleteApp")]
fn a_listed_order_has_its_kind_in_edas_words(
    #[case] kind: Kind,
    #[case] co_type: &str,
    #[case] co_type_code: &str,
) {
    let order = OrderView {
        kind,
        version: String::new(),
        image: String::new(),
        ..order(State::Succeeded, Vec::new())
    };
    let reply = json!(ChangeOrderListReply {
        change_order_list: ChangeOrderList { items: vec![listed(&order)] }
    });
    shape::check("ListRecentChangeOrder", &reply);
    let item = &reply["ChangeOrderList"]["ChangeOrder"][0];
    assert_eq!(
        (item["CoType"].as_str(), item["CoTypeCode"].as_str()),
        (Some(co_type), Some(co_type_code))
    );
    assert_eq!(
        (item["CreateTime"].as_str(), item["FinishTime"].as_str()),
        (Some("2026-11-24 06:58:10"), Some(""))
    );
    let does = if kind == Kind::Delete { "Delete" } else { "Deploy to" };
    assert_eq!(item["ChangeOrderDescription"], format!("{does}: all groups"));
}

#[rstest]
#[case(3, 5, "Application Scale Out", "CoScaleOut", "Scale Out")]
#[case(5, 3, "Application Scale In", "CoScaleIn", "Scale In")]
#[case(3, 3, "Application Scale Out", "CoScaleOut", "Scale Out")]
fn a_scale_says_in_which_direction(
    #[case] before: i32,
    #[case] after: i32,
    #[case] co_type: &str,
    #[case] code: &str,
    #[case] stage: &str,
) {
    let batches = vec![BatchView {
        message: format!("from {before} to {after} pods"),
        ..batch(1, State::Running, Vec::new())
    }];
    let order = OrderView {
        kind: Kind::Scale,
        replicas: Some(after),
        replicas_before: Some(before),
        version: String::new(),
        image: String::new(),
        ..order(State::Running, batches)
    };
    let shown = shown(&order);
    assert_eq!(
        (shown["CoType"].as_str(), listed(&order).co_type_code.as_str()),
        (Some(co_type), code)
    );
    assert_eq!(
        shown["ChangeOrderDescription"],
        format!("Instances: {before} to {after} | Deploy to: all groups")
    );
    let batch = &shown["PipelineInfoList"]["PipelineInfo"][0];
    assert_eq!(batch["StageList"]["StageInfoDTO"][1]["StageName"], stage);
    let detail = &batch["StageDetailList"]["StageDetailDTO"][0];
    assert_eq!(detail["StageName"], stage);
    assert_eq!(
        detail["TaskList"]["TaskInfoDTO"][0]["TaskMessage"],
        format!("from {before} to {after} pods")
    );
}
