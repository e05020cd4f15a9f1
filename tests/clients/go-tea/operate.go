package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alibabacloud-go/tea/dara"

	"sluice.test/clients/go/flows"
)

func (s *shop) operateAndDelete() error {
	if _, err := s.operate(scaleK8sApplication, query{"Replicas": flows.ScaledTo}, flows.ScaledTo); err != nil {
		return err
	}
	if _, err := s.operate(stopK8sApplication, query{}, 0); err != nil {
		return err
	}
	if _, err := s.operate(startK8sApplication, query{}, flows.ScaledTo); err != nil {
		return err
	}
	end, err := s.operate(restartK8sApplication, query{}, flows.ScaledTo)
	if err != nil {
		return err
	}
	return errors.Join(flows.Expect("pods of the restart", end.podsOfBatches(), []int{flows.ScaledTo}), s.delete())
}

// operate asks for another number of instances, or other ones, and returns the
// order at its end.
func (s *shop) operate(called operation, given query, instances int) (*changeOrderInfo, error) {
	order, err := s.order(called, given)
	if err != nil {
		return nil, err
	}
	end, err := s.succeeds(order)
	if err != nil {
		return nil, err
	}
	reply, err := s.get()
	if err != nil {
		return nil, err
	}
	return end, errors.Join(flows.Expect("InstanceCount", dara.Int32Value(reply.Applcation.InstanceCount), instances), s.runs("2.0"))
}

func (s *shop) delete() error {
	order, err := s.order(deleteK8sApplication, query{})
	if err != nil {
		return err
	}
	if _, err := s.succeeds(order); err != nil {
		return err
	}
	gone, err := call[application](s.client, getApplication, query{"AppId": s.id})
	if err != nil {
		return err
	}
	if code, message := dara.Int32Value(gone.Code), dara.StringValue(gone.Message); code != 601 || !strings.Contains(message, "does not exist") {
		return fmt.Errorf("a deleted application: %d %q", code, message)
	}
	all, err := s.list()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(one *listed) bool { return dara.StringValue(one.AppId) == s.id }) {
		return errors.New("a deleted application is still listed")
	}
	return nil
}
