package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/edas"
)

// What EDAS' numbers mean.
const (
	ready                = 0
	running              = 1
	success              = 2
	failed               = 3
	aborted              = 6
	waitsForConfirmation = 8
	systemFailed         = 10
)

var final = []int{success, failed, aborted, systemFailed}

const (
	orderDeadline = 90 * time.Second
	pollInterval  = 200 * time.Millisecond
)

// well is nil for an answer that says success.
func well(operation string, err error, code int, message string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if code != 200 || message != "success" {
		return fmt.Errorf("%s answered %d %q", operation, code, message)
	}
	return nil
}

func expect(what string, got, wanted any) error {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		return fmt.Errorf("%s is %v, not %v", what, got, wanted)
	}
	return nil
}

func (s *shop) info(order string) (edas.ChangeOrderInfo, error) {
	request := edas.CreateGetChangeOrderInfoRequest()
	request.ChangeOrderId = order
	reply, err := s.edas.GetChangeOrderInfo(request)
	if err := well("GetChangeOrderInfo", err, reply.Code, reply.Message); err != nil {
		return edas.ChangeOrderInfo{}, err
	}
	return reply.ChangeOrderInfo, expect("ChangeOrderId", reply.ChangeOrderInfo.ChangeOrderId, order)
}

// follow polls an order until done says so. Fails at the deadline, and on an end
// that is not the one.
func (s *shop) follow(order string, done func(edas.ChangeOrderInfo) bool) (edas.ChangeOrderInfo, error) {
	if order == "" {
		return edas.ChangeOrderInfo{}, errors.New("there is no ChangeOrderId")
	}
	for deadline := time.Now().Add(orderDeadline); ; time.Sleep(pollInterval) {
		info, err := s.info(order)
		if err != nil || done(info) {
			return info, err
		}
		if slices.Contains(final, info.Status) {
			return info, fmt.Errorf("order %s ended %d", order, info.Status)
		}
		if time.Now().After(deadline) {
			return info, fmt.Errorf("order %s is still %d after %v", order, info.Status, orderDeadline)
		}
	}
}

func (s *shop) succeeds(order string) (edas.ChangeOrderInfo, error) {
	return s.follow(order, func(info edas.ChangeOrderInfo) bool { return info.Status == success })
}

// waits follows an order until it waits for a person with so many batches done.
func (s *shop) waits(order string, batchesDone int) (edas.ChangeOrderInfo, error) {
	info, err := s.follow(order, func(info edas.ChangeOrderInfo) bool {
		return info.Status == waitsForConfirmation && doneBatches(info) == batchesDone
	})
	if err != nil {
		return info, err
	}
	for _, batch := range info.PipelineInfoList.PipelineInfo[batchesDone:] {
		if len(batch.StageList.StageInfoDTO) != 0 {
			return info, errors.New("a batch that has not begun shows a stage")
		}
	}
	return info, nil
}

func (s *shop) confirm(batch edas.PipelineInfo) error {
	request := edas.CreateContinuePipelineRequest()
	request.PipelineId, request.Confirm = batch.PipelineId, requests.NewBoolean(true)
	reply, err := s.edas.ContinuePipeline(request)
	return well("ContinuePipeline", err, reply.Code, reply.Message)
}

func doneBatches(info edas.ChangeOrderInfo) (done int) {
	for _, batch := range info.PipelineInfoList.PipelineInfo {
		if batch.PipelineStatus == success {
			done++
		}
	}
	return done
}

// podsOfBatches is how many pods each batch brought.
func podsOfBatches(info edas.ChangeOrderInfo) (pods []int) {
	for _, batch := range info.PipelineInfoList.PipelineInfo {
		names := map[string]bool{}
		for _, stage := range batch.StageList.StageInfoDTO {
			for _, instance := range stage.StageResultDTO.InstanceDTOList.InstanceDTO {
				names[instance.PodName] = true
			}
		}
		pods = append(pods, len(names))
	}
	return pods
}
