package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/edas"

	"sluice.test/clients/go/flows"
)

func (s *shop) operateAndDelete() error {
	for _, step := range []func() error{s.scale, s.stop, s.start, s.restart, s.delete} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// becomes follows an order to its end; the application is said to have so many
// instances then.
func (s *shop) becomes(order string, instances int) error {
	if _, err := s.succeeds(order); err != nil {
		return err
	}
	reply, err := s.get()
	if err := flows.Well("GetApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	return errors.Join(flows.Expect("InstanceCount", reply.Applcation.InstanceCount, instances), s.runs("2.0"))
}

func (s *shop) get() (*edas.GetApplicationResponse, error) {
	request := edas.CreateGetApplicationRequest()
	request.AppId = s.id
	return s.edas.GetApplication(request)
}

func (s *shop) scale() error {
	request := edas.CreateScaleK8sApplicationRequest()
	request.AppId, request.Replicas = s.id, requests.NewInteger(flows.ScaledTo)
	reply, err := s.edas.ScaleK8sApplication(request)
	if err := flows.Well("ScaleK8sApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	return s.becomes(reply.ChangeOrderId, flows.ScaledTo)
}

func (s *shop) stop() error {
	request := edas.CreateStopK8sApplicationRequest()
	request.AppId = s.id
	reply, err := s.edas.StopK8sApplication(request)
	if err := flows.Well("StopK8sApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	return s.becomes(reply.ChangeOrderId, 0)
}

func (s *shop) start() error {
	request := edas.CreateStartK8sApplicationRequest()
	request.AppId = s.id
	reply, err := s.edas.StartK8sApplication(request)
	if err := flows.Well("StartK8sApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	return s.becomes(reply.ChangeOrderId, flows.ScaledTo)
}

func (s *shop) restart() error {
	request := edas.CreateRestartK8sApplicationRequest()
	request.AppId = s.id
	reply, err := s.edas.RestartK8sApplication(request)
	if err := flows.Well("RestartK8sApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	if err := s.becomes(reply.ChangeOrderId, flows.ScaledTo); err != nil {
		return err
	}
	info, err := s.info(reply.ChangeOrderId)
	return errors.Join(err, flows.Expect("pods of the restart", podsOfBatches(info), []int{flows.ScaledTo}))
}

func (s *shop) delete() error {
	request := edas.CreateDeleteK8sApplicationRequest()
	request.AppId = s.id
	reply, err := s.edas.DeleteK8sApplication(request)
	if err := flows.Well("DeleteK8sApplication", err, reply.Code, reply.Message); err != nil {
		return err
	}
	if _, err := s.succeeds(reply.ChangeOrderId); err != nil {
		return err
	}
	gone, err := s.get()
	if err != nil || gone.Code != 601 || !strings.Contains(gone.Message, "does not exist") {
		return fmt.Errorf("a deleted application: %d %q %w", gone.Code, gone.Message, err)
	}
	all, err := s.edas.ListApplication(edas.CreateListApplicationRequest())
	if err := flows.Well("ListApplication", err, all.Code, all.Message); err != nil {
		return err
	}
	if slices.ContainsFunc(all.ApplicationList.Application, func(one edas.ApplicationInListApplication) bool { return one.AppId == s.id }) {
		return errors.New("a deleted application is still listed")
	}
	return nil
}
