package main

// The replies, as far as the flows go by them. Their fields are called as in the
// packages that are generated for one service.

type done struct {
	verdict
	ChangeOrderId *string `json:"ChangeOrderId,omitempty"`
}

type inserted struct {
	verdict
	ApplicationInfo *struct {
		AppId         *string `json:"AppId,omitempty"`
		AppName       *string `json:"AppName,omitempty"`
		ChangeOrderId *string `json:"ChangeOrderId,omitempty"`
	} `json:"ApplicationInfo,omitempty"`
}

type aborted struct {
	verdict
	Data *struct {
		ChangeOrderId *string `json:"ChangeOrderId,omitempty"`
	} `json:"Data,omitempty"`
}

type described struct {
	verdict
	Info *changeOrderInfo `json:"changeOrderInfo,omitempty"`
}

type changeOrderInfo struct {
	BatchCount       *int32  `json:"BatchCount,omitempty"`
	BatchType        *string `json:"BatchType,omitempty"`
	ChangeOrderId    *string `json:"ChangeOrderId,omitempty"`
	Status           *int32  `json:"Status,omitempty"`
	SupportRollback  *bool   `json:"SupportRollback,omitempty"`
	PipelineInfoList *struct {
		PipelineInfo []*pipelineInfo `json:"PipelineInfo,omitempty"`
	} `json:"PipelineInfoList,omitempty"`
}

type pipelineInfo struct {
	PipelineId     *string `json:"PipelineId,omitempty"`
	PipelineStatus *int32  `json:"PipelineStatus,omitempty"`
	StageList      *struct {
		StageInfoDTO []*struct {
			StageResultDTO *struct {
				InstanceDTOList *struct {
					InstanceDTO []*struct {
						PodName *string `json:"PodName,omitempty"`
					} `json:"InstanceDTO,omitempty"`
				} `json:"InstanceDTOList,omitempty"`
			} `json:"StageResultDTO,omitempty"`
		} `json:"StageInfoDTO,omitempty"`
	} `json:"StageList,omitempty"`
}

type history struct {
	verdict
	PackageVersionList *struct {
		PackageVersion []*struct {
			AppId          *string `json:"AppId,omitempty"`
			PackageVersion *string `json:"PackageVersion,omitempty"`
		} `json:"PackageVersion,omitempty"`
	} `json:"PackageVersionList,omitempty"`
}

type application struct {
	verdict
	Applcation *struct {
		AppId         *string `json:"AppId,omitempty"`
		AppPhase      *string `json:"AppPhase,omitempty"`
		ClusterType   *int32  `json:"ClusterType,omitempty"`
		InstanceCount *int32  `json:"InstanceCount,omitempty"`
		Name          *string `json:"Name,omitempty"`
	} `json:"Applcation,omitempty"`
	Application *struct {
		AppId       *string `json:"AppId,omitempty"`
		ClusterType *string `json:"ClusterType,omitempty"`
		Name        *string `json:"Name,omitempty"`
	} `json:"Application,omitempty"`
}

type applications struct {
	verdict
	ApplicationList *struct {
		Application []*listed `json:"Application,omitempty"`
	} `json:"ApplicationList,omitempty"`
}

type listed struct {
	AppId       *string `json:"AppId,omitempty"`
	ClusterId   *string `json:"ClusterId,omitempty"`
	ClusterType *int32  `json:"ClusterType,omitempty"`
	Instances   *int32  `json:"Instances,omitempty"`
	Name        *string `json:"Name,omitempty"`
}

type k8sApplication struct {
	verdict
	Applcation *struct {
		App *struct {
			ApplicationName *string `json:"ApplicationName,omitempty"`
			ApplicationType *string `json:"ApplicationType,omitempty"`
			Instances       *int32  `json:"Instances,omitempty"`
			K8sNamespace    *string `json:"K8sNamespace,omitempty"`
			EnvList         *struct {
				Env []*struct {
					Name  *string `json:"Name,omitempty"`
					Value *string `json:"Value,omitempty"`
				} `json:"Env,omitempty"`
			} `json:"EnvList,omitempty"`
		} `json:"App,omitempty"`
		ImageInfo *struct {
			ImageUrl *string `json:"ImageUrl,omitempty"`
		} `json:"ImageInfo,omitempty"`
	} `json:"Applcation,omitempty"`
}

type orders struct {
	verdict
	ChangeOrderList *struct {
		ChangeOrder []*struct {
			ChangeOrderId *string `json:"ChangeOrderId,omitempty"`
		} `json:"ChangeOrder,omitempty"`
	} `json:"ChangeOrderList,omitempty"`
}
