package main

import (
	"errors"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/edas"

	"sluice.test/clients/go/flows"
)

func (s *shop) info(order string) (edas.ChangeOrderInfo, error) {
	request := edas.CreateGetChangeOrderInfoRequest()
	request.ChangeOrderId = order
	reply, err := s.edas.GetChangeOrderInfo(request)
	if err := flows.Well("GetChangeOrderInfo", err, reply.Code, reply.Message); err != nil {
		return edas.ChangeOrderInfo{}, err
	}
	return reply.ChangeOrderInfo, flows.Expect("ChangeOrderId", reply.ChangeOrderInfo.ChangeOrderId, order)
}

func (s *shop) follow(order string, done func(edas.ChangeOrderInfo) bool) (edas.ChangeOrderInfo, error) {
	return flows.Follow(order, s.info, func(info edas.ChangeOrderInfo) int { return info.Status }, done)
}

func (s *shop) succeeds(order string) (edas.ChangeOrderInfo, error) {
	return s.follow(order, func(info edas.ChangeOrderInfo) bool { return info.Status == flows.Success })
}

// waits follows an order until it waits for a person with so many batches done.
func (s *shop) waits(order string, batchesDone int) (edas.ChangeOrderInfo, error) {
	info, err := s.follow(order, func(info edas.ChangeOrderInfo) bool {
		return info.Status == flows.WaitsForConfirmation && doneBatches(info) == batchesDone
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
	return flows.Well("ContinuePipeline", err, reply.Code, reply.Message)
}

func doneBatches(info edas.ChangeOrderInfo) (done int) {
	for _, batch := range info.PipelineInfoList.PipelineInfo {
		if batch.PipelineStatus == flows.Success {
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
