package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/edas"

	"sluice.test/clients/go/flows"
)

// A shop is the application under release, and what was done to it.
type shop struct {
	edas   *edas.Client
	id     string
	orders []string // oldest first
}

func connect(secret string) (*edas.Client, error) {
	key := credentials.NewAccessKeyCredential(os.Getenv("ACCESS_KEY_ID"), secret)
	client, err := edas.NewClientWithOptions("cn-hangzhou", sdk.NewConfig().WithScheme("HTTP"), key)
	if err == nil {
		client.Domain = os.Getenv("ENDPOINT")
	}
	return client, err
}

func openShop() (*shop, error) {
	client, err := connect(os.Getenv("ACCESS_KEY_SECRET"))
	return &shop{edas: client}, err
}

func (s *shop) insert() error {
	request := edas.CreateInsertK8sApplicationRequest()
	request.AppName, request.Namespace, request.ClusterId = os.Getenv("APP_NAME"), os.Getenv("NAMESPACE"), "default"
	request.PackageType, request.ImageUrl, request.PackageVersion = "Image", flows.Image("1.0"), "1.0"
	request.Replicas = requests.NewInteger(flows.Replicas)
	reply, err := s.edas.InsertK8sApplication(request)
	if err := flows.Well("InsertK8sApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	s.id = reply.ApplicationInfo.AppId
	s.orders = append(s.orders, reply.ApplicationInfo.ChangeOrderId)
	_, err = s.succeeds(reply.ApplicationInfo.ChangeOrderId)
	return errors.Join(err, flows.Expect("AppName", reply.ApplicationInfo.AppName, request.AppName))
}

// deploy orders a release and returns the order's id.
func (s *shop) deploy(version string, set func(*edas.DeployK8sApplicationRequest)) (string, error) {
	request := edas.CreateDeployK8sApplicationRequest()
	request.AppId, request.Image, request.PackageVersion = s.id, flows.Image(version), version
	set(request)
	reply, err := s.edas.DeployK8sApplication(request)
	s.orders = append(s.orders, reply.ChangeOrderId)
	return reply.ChangeOrderId, flows.Well("DeployK8sApplication", err, reply.Code, reply.Message)
}

func (s *shop) allAtOnce() error {
	order, err := s.deploy("2.0", func(request *edas.DeployK8sApplicationRequest) {
		request.Envs = flows.Envs()
		request.ChangeOrderDesc = "second version"
	})
	if err != nil {
		return err
	}
	info, err := s.succeeds(order)
	return errors.Join(err,
		flows.Expect("BatchCount", info.BatchCount, 1),
		flows.Expect("pods of the batches", podsOfBatches(info), []int{flows.Replicas}),
		s.runs("2.0"))
}

func (s *shop) phased() error {
	order, err := s.deploy("3.0", func(request *edas.DeployK8sApplicationRequest) { request.UpdateStrategy = flows.InThree })
	if err != nil {
		return err
	}
	for done := 1; done <= 2; done++ {
		info, err := s.waits(order, done)
		if err != nil {
			return err
		}
		if err := s.confirm(info.PipelineInfoList.PipelineInfo[done]); err != nil {
			return err
		}
	}
	info, err := s.succeeds(order)
	return errors.Join(err,
		flows.Expect("BatchType", info.BatchType, "Manual"),
		flows.Expect("pods of the batches", podsOfBatches(info), []int{1, 1, 2}),
		s.runs("3.0"))
}

func (s *shop) canary() error {
	order, err := s.deploy("4.0", func(request *edas.DeployK8sApplicationRequest) { request.UpdateStrategy = flows.OneFirst })
	if err != nil {
		return err
	}
	info, err := s.waits(order, 1)
	if err != nil {
		return err
	}
	if err := errors.Join(flows.Expect("pods of the canary", podsOfBatches(info)[0], 1), s.confirm(info.PipelineInfoList.PipelineInfo[0])); err != nil {
		return err
	}
	info, err = s.succeeds(order)
	return errors.Join(err, flows.Expect("pods of the batches", podsOfBatches(info), []int{1, 1, 2}), s.runs("4.0"))
}

func (s *shop) abortAndRollBack() error {
	order, err := s.deploy("5.0", func(request *edas.DeployK8sApplicationRequest) { request.UpdateStrategy = flows.InThree })
	if err != nil {
		return err
	}
	waiting, err := s.waits(order, 1)
	if err != nil {
		return err
	}
	request := edas.CreateAbortAndRollbackChangeOrderRequest()
	request.ChangeOrderId = order
	reply, err := s.edas.AbortAndRollbackChangeOrder(request)
	if err := flows.Well("AbortAndRollbackChangeOrder", err, reply.Code, reply.Message); err != nil {
		return err
	}
	rollback := reply.Data.ChangeOrderId
	s.orders = append(s.orders, rollback)
	if rollback == order {
		return errors.New("the way back is the order that was aborted")
	}
	_, err = s.succeeds(rollback)
	end, infoErr := s.info(order)
	return errors.Join(err, infoErr,
		flows.Expect("SupportRollback", waiting.SupportRollback, true),
		flows.Expect("the aborted order's Status", end.Status, flows.Aborted),
		s.runs("4.0"))
}

func (s *shop) rollBackToVersion() error {
	list := edas.CreateListHistoryDeployVersionRequest()
	list.AppId = s.id
	history, err := s.edas.ListHistoryDeployVersion(list)
	if err := flows.Well("ListHistoryDeployVersion", err, history.Code, history.Message); err != nil {
		return err
	}
	versions := history.PackageVersionList.PackageVersion
	chosen := slices.IndexFunc(versions, func(one edas.PackageVersion) bool { return one.PackageVersion == "2.0" && one.AppId == s.id })
	if chosen < 0 {
		return fmt.Errorf("version 2.0 is not in the history %+v", versions)
	}
	request := edas.CreateRollbackApplicationRequest()
	request.AppId, request.GroupId, request.HistoryVersion = s.id, "all", versions[chosen].PackageVersion
	request.Batch = requests.NewInteger(2)
	reply, err := s.edas.RollbackApplication(request)
	if err := flows.Well("RollbackApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	s.orders = append(s.orders, reply.ChangeOrderId)
	info, err := s.succeeds(reply.ChangeOrderId)
	return errors.Join(err, flows.Expect("pods of the batches", podsOfBatches(info), []int{2, 2}), s.runs("2.0"))
}

func (s *shop) whole() (edas.Applcation, error) {
	request := edas.CreateGetK8sApplicationRequest()
	request.AppId, request.From = s.id, "deploy"
	reply, err := s.edas.GetK8sApplication(request)
	return reply.Applcation, flows.Well("GetK8sApplication", err, reply.Code, reply.Message)
}

// runs is nil where the application is said to be of this version.
func (s *shop) runs(version string) error {
	whole, err := s.whole()
	return errors.Join(err, flows.Expect("ImageUrl", whole.ImageInfo.ImageUrl, flows.Image(version)))
}

func (s *shop) read() error {
	one, err := s.get()
	if err := flows.Well("GetApplication", err, one.Code, one.Message); err != nil {
		return err
	}
	list := edas.CreateListApplicationRequest()
	all, err := s.edas.ListApplication(list)
	if err := flows.Well("ListApplication", err, all.Code, all.Message); err != nil {
		return err
	}
	listed := all.ApplicationList.Application
	at := slices.IndexFunc(listed, func(one edas.ApplicationInListApplication) bool { return one.AppId == s.id })
	if at < 0 {
		return fmt.Errorf("the application is not listed among %d", len(listed))
	}
	whole, err := s.whole()
	if err != nil {
		return err
	}
	environment := map[string]string{}
	for _, env := range whole.App.EnvList.Env {
		environment[env.Name] = env.Value
	}
	recent := edas.CreateListRecentChangeOrderRequest()
	recent.AppId = s.id
	orders, err := s.edas.ListRecentChangeOrder(recent)
	if err := flows.Well("ListRecentChangeOrder", err, orders.Code, orders.Message); err != nil {
		return err
	}
	var newestFirst []string
	for _, order := range orders.ChangeOrderList.ChangeOrder {
		newestFirst = append(newestFirst, order.ChangeOrderId)
	}
	slices.Reverse(newestFirst)
	name := os.Getenv("APP_NAME")
	return errors.Join(
		flows.Expect("Applcation", []any{one.Applcation.AppId, one.Applcation.Name, one.Applcation.ClusterType}, []any{s.id, name, 5}),
		flows.Expect("Application", []any{one.Application.AppId, one.Application.Name, one.Application.ClusterType}, []any{s.id, name, "5"}),
		flows.Expect("InstanceCount", one.Applcation.InstanceCount, flows.Replicas),
		flows.Expect("AppPhase", one.Applcation.AppPhase, "ready"),
		flows.Expect("the listed application", []any{listed[at].Name, listed[at].ClusterId, listed[at].ClusterType, listed[at].Instances}, []any{name, "default", 5, flows.Replicas}),
		flows.Expect("App", []any{whole.App.ApplicationName, whole.App.ApplicationType, whole.App.Instances, whole.App.K8sNamespace}, []any{name, "Image", flows.Replicas, os.Getenv("NAMESPACE")}),
		flows.Expect("the environment variable", environment[flows.EnvName], flows.EnvValue),
		flows.Expect("the orders, oldest first,", newestFirst, s.orders))
}

func (s *shop) refusals() error {
	unknown := edas.CreateGetChangeOrderInfoRequest()
	unknown.ChangeOrderId = flows.NoOrder
	reply, err := s.edas.GetChangeOrderInfo(unknown)
	if err != nil || reply.Code != 601 || !strings.Contains(reply.Message, "does not exist") {
		return fmt.Errorf("an unknown order: %d %q %w", reply.Code, reply.Message, err)
	}
	stranger, err := connect("wrong")
	if err != nil {
		return err
	}
	_, err = stranger.ListApplication(edas.CreateListApplicationRequest())
	var refusal *sdkerrors.ServerError
	if !errors.As(err, &refusal) {
		return fmt.Errorf("a wrong secret: %w", err)
	}
	return errors.Join(flows.Expect("HTTP status", refusal.HttpStatus(), 400), flows.Expect("ErrorCode", refusal.ErrorCode(), "SignatureDoesNotMatch"))
}
