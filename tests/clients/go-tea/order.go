package main

import (
	"errors"

	"github.com/alibabacloud-go/tea/dara"

	"sluice.test/clients/go/flows"
)

func (s *shop) info(order string) (*changeOrderInfo, error) {
	reply, err := well[described](s, getChangeOrderInfo, query{"ChangeOrderId": order})
	if err != nil {
		return nil, err
	}
	return reply.Info, flows.Expect("ChangeOrderId", dara.StringValue(reply.Info.ChangeOrderId), order)
}

func (info *changeOrderInfo) status() int { return int(dara.Int32Value(info.Status)) }

func (info *changeOrderInfo) batches() []*pipelineInfo { return info.PipelineInfoList.PipelineInfo }

func (s *shop) follow(order string, done func(*changeOrderInfo) bool) (*changeOrderInfo, error) {
	return flows.Follow(order, s.info, (*changeOrderInfo).status, done)
}

func (s *shop) succeeds(order string) (*changeOrderInfo, error) {
	return s.follow(order, func(info *changeOrderInfo) bool { return info.status() == flows.Success })
}

// waits follows an order until it waits for a person with so many batches done.
func (s *shop) waits(order string, batchesDone int) (*changeOrderInfo, error) {
	info, err := s.follow(order, func(info *changeOrderInfo) bool {
		return info.status() == flows.WaitsForConfirmation && info.doneBatches() == batchesDone
	})
	if err != nil {
		return nil, err
	}
	for _, batch := range info.batches()[batchesDone:] {
		if len(batch.StageList.StageInfoDTO) != 0 {
			return nil, errors.New("a batch that has not begun shows a stage")
		}
	}
	return info, nil
}

func (s *shop) confirm(batch *pipelineInfo) error {
	_, err := well[done](s, continuePipeline, query{"PipelineId": batch.PipelineId, "Confirm": true})
	return err
}

func (info *changeOrderInfo) doneBatches() (done int) {
	for _, batch := range info.batches() {
		if dara.Int32Value(batch.PipelineStatus) == flows.Success {
			done++
		}
	}
	return done
}

// podsOfBatches is how many pods each batch brought.
func (info *changeOrderInfo) podsOfBatches() (pods []int) {
	for _, batch := range info.batches() {
		names := map[string]bool{}
		for _, stage := range batch.StageList.StageInfoDTO {
			for _, instance := range stage.StageResultDTO.InstanceDTOList.InstanceDTO {
				names[dara.StringValue(instance.PodName)] = true
			}
		}
		pods = append(pods, len(names))
	}
	return pods
}
