package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"

	"sluice.test/clients/go/flows"
)

// A shop is the application under release, and what was done to it.
type shop struct {
	client *openapi.Client
	name   string
	id     string
	orders []string // oldest first
}

func openShop() (*shop, error) {
	client, err := connect(os.Getenv("ACCESS_KEY_SECRET"))
	return &shop{client: client, name: os.Getenv("APP_NAME")}, err
}

func (s *shop) insert() error {
	reply, err := well[inserted](s, insertK8sApplication, query{
		"AppName":        s.name,
		"Namespace":      os.Getenv("NAMESPACE"),
		"ClusterId":      "default",
		"PackageType":    "Image",
		"ImageUrl":       flows.Image("1.0"),
		"PackageVersion": "1.0",
		"Replicas":       flows.Replicas,
	})
	if err != nil {
		return err
	}
	made := reply.ApplicationInfo
	s.id = dara.StringValue(made.AppId)
	s.orders = append(s.orders, dara.StringValue(made.ChangeOrderId))
	_, err = s.succeeds(s.orders[0])
	return errors.Join(err, flows.Expect("AppName", dara.StringValue(made.AppName), s.name))
}

// order asks for a change and returns the order's id.
func (s *shop) order(called operation, given query) (string, error) {
	given["AppId"] = s.id
	reply, err := well[done](s, called, given)
	if err != nil {
		return "", err
	}
	s.orders = append(s.orders, dara.StringValue(reply.ChangeOrderId))
	return dara.StringValue(reply.ChangeOrderId), nil
}

func (s *shop) deploy(version string, more query) (string, error) {
	given := query{"Image": flows.Image(version), "PackageVersion": version}
	maps.Copy(given, more)
	return s.order(deployK8sApplication, given)
}

func (s *shop) allAtOnce() error {
	order, err := s.deploy("2.0", query{"Envs": flows.Envs(), "ChangeOrderDesc": "second version"})
	if err != nil {
		return err
	}
	info, err := s.succeeds(order)
	if err != nil {
		return err
	}
	return errors.Join(
		flows.Expect("BatchCount", dara.Int32Value(info.BatchCount), 1),
		flows.Expect("pods of the batches", info.podsOfBatches(), []int{flows.Replicas}),
		s.runs("2.0"))
}

func (s *shop) phased() error {
	order, err := s.deploy("3.0", query{"UpdateStrategy": flows.InThree})
	if err != nil {
		return err
	}
	for done := 1; done <= 2; done++ {
		info, err := s.waits(order, done)
		if err != nil {
			return err
		}
		if err := s.confirm(info.batches()[done]); err != nil {
			return err
		}
	}
	info, err := s.succeeds(order)
	if err != nil {
		return err
	}
	return errors.Join(
		flows.Expect("BatchType", dara.StringValue(info.BatchType), "Manual"),
		flows.Expect("pods of the batches", info.podsOfBatches(), []int{1, 1, 2}),
		s.runs("3.0"))
}

func (s *shop) canary() error {
	order, err := s.deploy("4.0", query{"UpdateStrategy": flows.OneFirst})
	if err != nil {
		return err
	}
	info, err := s.waits(order, 1)
	if err != nil {
		return err
	}
	if err := errors.Join(flows.Expect("pods of the canary", info.podsOfBatches()[0], 1), s.confirm(info.batches()[0])); err != nil {
		return err
	}
	info, err = s.succeeds(order)
	if err != nil {
		return err
	}
	return errors.Join(flows.Expect("pods of the batches", info.podsOfBatches(), []int{1, 1, 2}), s.runs("4.0"))
}

func (s *shop) abortAndRollBack() error {
	order, err := s.deploy("5.0", query{"UpdateStrategy": flows.InThree})
	if err != nil {
		return err
	}
	waiting, err := s.waits(order, 1)
	if err != nil {
		return err
	}
	reply, err := well[aborted](s, abortAndRollbackChangeOrder, query{"ChangeOrderId": order})
	if err != nil {
		return err
	}
	rollback := dara.StringValue(reply.Data.ChangeOrderId)
	s.orders = append(s.orders, rollback)
	if rollback == order {
		return errors.New("the way back is the order that was aborted")
	}
	if _, err := s.succeeds(rollback); err != nil {
		return err
	}
	end, err := s.info(order)
	if err != nil {
		return err
	}
	return errors.Join(
		flows.Expect("SupportRollback", dara.BoolValue(waiting.SupportRollback), true),
		flows.Expect("the aborted order's Status", end.status(), flows.Aborted),
		s.runs("4.0"))
}

func (s *shop) rollBackToVersion() error {
	reply, err := well[history](s, listHistoryDeployVersion, query{"AppId": s.id})
	if err != nil {
		return err
	}
	chosen := ""
	for _, one := range reply.PackageVersionList.PackageVersion {
		if dara.StringValue(one.PackageVersion) == "2.0" && dara.StringValue(one.AppId) == s.id {
			chosen = *one.PackageVersion
		}
	}
	if chosen == "" {
		return fmt.Errorf("version 2.0 is not among %d in the history", len(reply.PackageVersionList.PackageVersion))
	}
	order, err := s.order(rollbackApplication, query{"GroupId": "all", "HistoryVersion": chosen, "Batch": 2})
	if err != nil {
		return err
	}
	info, err := s.succeeds(order)
	if err != nil {
		return err
	}
	return errors.Join(flows.Expect("pods of the batches", info.podsOfBatches(), []int{2, 2}), s.runs("2.0"))
}

func (s *shop) whole() (k8sApplication, error) {
	return well[k8sApplication](s, getK8sApplication, query{"AppId": s.id, "From": "deploy"})
}

// runs is nil where the application is said to be of this version.
func (s *shop) runs(version string) error {
	whole, err := s.whole()
	if err != nil {
		return err
	}
	return flows.Expect("ImageUrl", dara.StringValue(whole.Applcation.ImageInfo.ImageUrl), flows.Image(version))
}

func (s *shop) get() (application, error) {
	return well[application](s, getApplication, query{"AppId": s.id})
}

func (s *shop) list() ([]*listed, error) {
	reply, err := well[applications](s, listApplication, query{})
	if err != nil {
		return nil, err
	}
	return reply.ApplicationList.Application, nil
}

func (s *shop) read() error {
	reply, err := s.get()
	if err != nil {
		return err
	}
	one, twin := reply.Applcation, reply.Application
	all, err := s.list()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(one *listed) bool { return dara.StringValue(one.AppId) == s.id })
	if at < 0 {
		return fmt.Errorf("the application is not listed among %d", len(all))
	}
	row := all[at]
	whole, err := s.whole()
	if err != nil {
		return err
	}
	app := whole.Applcation.App
	environment := map[string]string{}
	for _, env := range app.EnvList.Env {
		environment[dara.StringValue(env.Name)] = dara.StringValue(env.Value)
	}
	recent, err := well[orders](s, listRecentChangeOrder, query{"AppId": s.id})
	if err != nil {
		return err
	}
	var newestFirst []string
	for _, order := range recent.ChangeOrderList.ChangeOrder {
		newestFirst = append(newestFirst, dara.StringValue(order.ChangeOrderId))
	}
	slices.Reverse(newestFirst)
	return errors.Join(
		flows.Expect("Applcation", text(one.AppId, one.Name, one.ClusterType), text(s.id, s.name, 5)),
		flows.Expect("Application", text(twin.AppId, twin.Name, twin.ClusterType), text(s.id, s.name, "5")),
		flows.Expect("InstanceCount", dara.Int32Value(one.InstanceCount), flows.Replicas),
		flows.Expect("AppPhase", dara.StringValue(one.AppPhase), "ready"),
		flows.Expect("the listed application", text(row.Name, row.ClusterId, row.ClusterType, row.Instances), text(s.name, "default", 5, flows.Replicas)),
		flows.Expect("App", text(app.ApplicationName, app.ApplicationType, app.Instances, app.K8sNamespace), text(s.name, "Image", flows.Replicas, os.Getenv("NAMESPACE"))),
		flows.Expect("the environment variable", environment[flows.EnvName], flows.EnvValue),
		flows.Expect("the orders, oldest first,", newestFirst, s.orders))
}

// text shows values, and what pointers point to.
func text(values ...any) string { return dara.Stringify(values) }

func (s *shop) refusals() error {
	unknown, err := call[described](s.client, getChangeOrderInfo, query{"ChangeOrderId": flows.NoOrder})
	if err != nil {
		return err
	}
	if code, message := dara.Int32Value(unknown.Code), dara.StringValue(unknown.Message); code != 601 || !strings.Contains(message, "does not exist") {
		return fmt.Errorf("an unknown order: %d %q", code, message)
	}
	stranger, err := connect("wrong")
	if err != nil {
		return err
	}
	_, err = call[applications](stranger, listApplication, query{})
	var refusal *tea.SDKError
	if !errors.As(err, &refusal) {
		return fmt.Errorf("a wrong secret: %T %w", err, err)
	}
	return errors.Join(
		flows.Expect("HTTP status", dara.IntValue(refusal.StatusCode), 400),
		flows.Expect("Code", dara.StringValue(refusal.Code), "SignatureDoesNotMatch"))
}
